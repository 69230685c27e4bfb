import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MAX_CONSOLE_CHARS } from "../driver.ts";
import { CONSOLE_KEEPER, readConsoleTail } from "./console.ts";

const MIB = 1024 ** 2;

describe("the console of a machine", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "qemu-console-"));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Keeps what a shell command prints, to its end; answers the tail and the bytes on the disk. */
  async function keep(command: string): Promise<{ tail: string | null; bytes: number }> {
    await execa("sh", ["-c", `(${command}) | sh -c "$KEEPER"`], { cwd: folder, env: { KEEPER: CONSOLE_KEEPER } });
    const { stdout } = await execa("sh", ["-c", "cat console.* | wc -c"], { cwd: folder });
    return { tail: await readConsoleTail(folder), bytes: Number(stdout) };
  }

  it("is kept whole while it is short", async () => {
    expect((await keep("printf 'one\\ntwo\\n'")).tail).toBe("one\ntwo\n");
    expect((await keep(":")).tail).toBe("one\ntwo\n");
  });

  it("keeps the last of it, in bounded room, whatever a guest prints", async () => {
    const { tail, bytes } = await keep("yes 0123456789abcde | head -c 4194304; echo the end");
    expect(tail).toHaveLength(MAX_CONSOLE_CHARS);
    expect(tail).toMatch(/0123456789abcde\nthe end\n$/);
    expect(bytes).toBeLessThan(2 * MIB);
  });

  it("loses nothing of the tail right after a new part was begun", async () => {
    const { tail } = await keep("head -c 524300 /dev/zero | tr '\\0' x");
    expect(tail).toBe("x".repeat(MAX_CONSOLE_CHARS));
  });

  it("is shown without the control characters of terminals", async () => {
    await writeFile(join(folder, "console.0"), "\u001b[0;32m  OK  \u001b[0m Started\r\n\u0007\tdone\n");
    expect(await readConsoleTail(folder)).toBe("  OK   Started\n\tdone\n");
  });

  it("is null when there is none, and never read through a link or from a device", async () => {
    expect(await readConsoleTail(folder)).toBeNull();
    await symlink("/etc/passwd", join(folder, "console.0"));
    await symlink("/dev/zero", join(folder, "console.1"));
    await execa("mkfifo", [join(folder, "console.2")]);
    expect(await readConsoleTail(folder)).toBeNull();
  });
});
