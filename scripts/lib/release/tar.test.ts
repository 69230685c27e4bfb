import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ArchiveFile, TAR_END, tarHeader, tarPadding } from "./tar.ts";

const MTIME = 946_684_800;

describe("a tar archive of headers, contents and padding", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "shipfox-tar-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  function archive(files: readonly ArchiveFile[]): string {
    const parts = files.flatMap((file) => [tarHeader(file, MTIME), file.contents, tarPadding(file)]);
    const path = join(folder, "made.tar");
    writeFileSync(path, Buffer.concat([...parts, TAR_END]));
    return path;
  }

  it("is unpacked by tar with contents, permissions and time as they were given", () => {
    const sizes = [0, 1, 511, 512, 513, 100_000];
    const files = sizes.map((size) => ({ path: `a/${size}`, mode: 0o755, contents: Buffer.alloc(size, "x") }));
    const listed = execFileSync("tar", ["-tvf", archive(files), "--numeric-owner", "--utc"], { encoding: "utf8" });
    const lines = listed.trim().split("\n");
    expect(lines.map((line) => line.split(/\s+/))).toEqual(
      sizes.map((size) => ["-rwxr-xr-x", "0/0", String(size), "2000-01-01", "00:00", `a/${size}`]),
    );
    execFileSync("tar", ["-xf", join(folder, "made.tar"), "-C", folder]);
    for (const size of sizes) expect(statSync(join(folder, "a", String(size))).size).toBe(size);
  });

  it("refuses a path that a header cannot hold", () => {
    const path = "x".repeat(101);
    expect(() => tarHeader({ path, mode: 0o644, contents: Buffer.alloc(0) }, MTIME)).toThrow(/too long/);
  });
});
