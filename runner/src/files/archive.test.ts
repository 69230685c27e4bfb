import { createReadStream } from "node:fs";
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { type Header, pack } from "tar-stream";
import { describe, expect, it, onTestFinished } from "vitest";
import { ArchiveFault } from "./archive-fault.ts";
import type { Compression } from "./compression.ts";
import { hashFiles } from "./hash-files.ts";
import { type ArchiveLimits, readTar } from "./read-tar.ts";
import { TemporaryFile } from "./temporary-file.ts";
import { unpack } from "./unpack.ts";
import { writeTar } from "./write-tar.ts";

const LIMITS: ArchiveLimits = { maxEntries: 1_000, maxBytes: 300 * 1024 * 1024 };
const MEBIBYTE = 1024 * 1024;

type Item = Partial<Header> & { name: string; content?: string | Buffer };

async function tarOf(items: readonly Item[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of items) archive.entry({ ...header, mtime: new Date(1_000) }, content ?? "");
  archive.finalize();
  return buffer(archive);
}

/** Another byte in the first header, which still is whole. */
function patched(tar: Buffer, { at, byte }: { at: number; byte: number }): Buffer {
  tar[at] = byte;
  const sum = tar.subarray(0, 512).reduce((total, each, index) => total + (index >= 148 && index < 156 ? 32 : each), 0);
  tar.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return tar;
}

async function folderFor(): Promise<{ outside: string; workspace: string; temporary: string }> {
  const root = await mkdtemp(join(tmpdir(), "shipfox-archive-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const places = { outside: join(root, "outside"), workspace: join(root, "workspace"), temporary: join(root, "tmp") };
  for (const place of Object.values(places)) await mkdir(place);
  await writeFile(join(places.outside, "precious"), "untouched");
  return places;
}

async function unpackInto(
  places: Awaited<ReturnType<typeof folderFor>>,
  bytes: Buffer,
  {
    into = ".",
    compression = "gzip",
    limits = LIMITS,
  }: { into?: string; compression?: Compression; limits?: ArchiveLimits } = {},
): Promise<number> {
  const file = await TemporaryFile.make(places.temporary);
  try {
    await file.append(compression === "gzip" ? gzipSync(bytes, { level: 1 }) : bytes);
    const { signal } = new AbortController();
    return await unpack({ file, compression, workspace: places.workspace, into, limits, signal });
  } finally {
    await file.close();
  }
}

const entries = (folder: string) => readdir(folder, { recursive: true });

describe("an archive that is unpacked", () => {
  it("becomes its files, folders and links, with their modes and times, in place of what was there", async () => {
    const places = await folderFor();
    const long = `${"folder/".repeat(30)}a file with a long name ✓`;
    const tar = await tarOf([
      { name: "bin/", type: "directory" },
      { name: "bin/run", mode: 0o755, content: "#!/bin/sh\n" },
      { name: "bin/again", type: "link", linkname: "bin/run" },
      { name: "lib/current", type: "symlink", linkname: "../bin" },
      { name: long, content: "deep" },
      { name: "empty", content: "" },
    ]);
    await mkdir(join(places.workspace, "bin"));
    await symlink(join(places.outside, "precious"), join(places.workspace, "bin/run"));
    expect(await unpackInto(places, tar)).toBe(6);
    const at = (path: string) => join(places.workspace, path);
    expect(await readFile(at("bin/run"), "utf8")).toBe("#!/bin/sh\n");
    expect(await readFile(at("bin/again"), "utf8")).toBe("#!/bin/sh\n");
    expect((await lstat(at("bin/run"))).mode & 0o777).toBe(0o755);
    expect((await lstat(at("bin/run"))).mtimeMs).toBe(1_000);
    expect(await readlink(at("lib/current"))).toBe("../bin");
    expect(await readFile(at(long), "utf8")).toBe("deep");
    expect(await readFile(join(places.outside, "precious"), "utf8")).toBe("untouched");
    await unpackInto(places, tar, { into: "sub/folder" });
    expect(await readFile(at("sub/folder/bin/again"), "utf8")).toBe("#!/bin/sh\n");
  });

  const file = { content: "evil" };
  const hostile: [string, Item[]][] = [
    ["a path upwards", [{ name: "../evil", ...file }]],
    ["a path upwards in the middle", [{ name: "a/../../evil", ...file }]],
    ["an absolute path", [{ name: "/tmp/evil", ...file }]],
    ["a link out", [{ name: "out", type: "symlink", linkname: "../outside" }]],
    ["an absolute link", [{ name: "out", type: "symlink", linkname: "/etc" }]],
    ["a link up again behind a folder", [{ name: "a/out", type: "symlink", linkname: "b/../../.." }]],
    [
      "a file through a link",
      [
        { name: "a", type: "symlink", linkname: "b" },
        { name: "a/evil", ...file },
      ],
    ],
    [
      "a folder over a link",
      [
        { name: "a", type: "symlink", linkname: "b" },
        { name: "a/", type: "directory" },
      ],
    ],
    ["a hard link out", [{ name: "a", type: "link", linkname: "../outside/precious" }]],
    ["a hard link to nothing", [{ name: "a", type: "link", linkname: "." }]],
    ["a device", [{ name: "a", type: "character-device", devmajor: 1, devminor: 3 }]],
    ["a named pipe", [{ name: "a", type: "fifo" }]],
    ["a name that is too long", [{ name: `a/${"x".repeat(256)}`, ...file }]],
    ["a path that is too long", [{ name: "x/".repeat(2_100), ...file }]],
    ["more entries than it may have", Array.from({ length: 1_001 }, (_, index) => ({ name: `a${index}`, ...file }))],
  ];

  it.each(hostile)("is refused with %s, and leaves nothing", async (_what, items) => {
    const places = await folderFor();
    await expect(unpackInto(places, await tarOf([{ name: "before", ...file }, ...items]))).rejects.toThrow(
      ArchiveFault,
    );
    expect(await entries(places.workspace)).toEqual([]);
    expect(await readFile(join(places.outside, "precious"), "utf8")).toBe("untouched");
  });

  it("is refused with a NUL in a name, a name that is no UTF-8, and a header that names gigabytes", async () => {
    const places = await folderFor();
    const nul = await tarOf([{ name: "a", pax: { path: "a\0b" }, ...file }]);
    await expect(unpackInto(places, nul)).rejects.toThrow(ArchiveFault);
    const latin = patched(await tarOf([{ name: "abc", ...file }]), { at: 0, byte: 0xe9 });
    await expect(unpackInto(places, latin)).rejects.toThrow("UTF-8");
    const name = await tarOf([{ name: "abc", content: "n".repeat(65_537) }]);
    const huge = patched(name, { at: 156, byte: "L".charCodeAt(0) });
    await expect(unpackInto(places, huge)).rejects.toThrow("65536 bytes");
    expect(await entries(places.workspace)).toEqual([]);
  });

  it("is refused when it is a bomb, before it fills the disk", async () => {
    const places = await folderFor();
    const bomb = await tarOf([{ name: "zeros", content: Buffer.alloc(257 * MEBIBYTE) }]);
    await expect(unpackInto(places, bomb)).rejects.toThrow(ArchiveFault);
    await expect(
      unpackInto(places, await tarOf([{ name: "a", content: "12345" }]), { limits: { maxEntries: 9, maxBytes: 4 } }),
    ).rejects.toThrow("more than 4 bytes");
    expect(await entries(places.workspace)).toEqual([]);
  });

  it("is refused when it is cut, changed or no archive at all", async () => {
    const places = await folderFor();
    const tar = await tarOf([{ name: "a", content: "x".repeat(2_000) }]);
    for (const broken of [
      tar.subarray(0, 300),
      tar.subarray(0, 1_200),
      Buffer.alloc(0),
      Buffer.from("x".repeat(600)),
    ]) {
      await expect(unpackInto(places, broken)).rejects.toThrow(ArchiveFault);
    }
    await expect(unpackInto(places, Buffer.from("no zstd"), { compression: "zstd" })).rejects.toThrow(ArchiveFault);
    expect(await entries(places.workspace)).toEqual([]);
  });

  it("goes through no link that a checkout left, and over no folder", async () => {
    const places = await folderFor();
    await symlink(places.outside, join(places.workspace, "dist"));
    const tar = await tarOf([{ name: "dist/precious", ...file }]);
    await expect(unpackInto(places, tar)).rejects.toThrow(ArchiveFault);
    await expect(unpackInto(places, await tarOf([{ name: "a", ...file }]), { into: "dist" })).rejects.toThrow(
      ArchiveFault,
    );
    await mkdir(join(places.workspace, "a"));
    await expect(unpackInto(places, await tarOf([{ name: "a", ...file }]))).rejects.toThrow("folder");
    expect(await readFile(join(places.outside, "precious"), "utf8")).toBe("untouched");
  });

  it("never leaves its folder, whatever its names and links are", async () => {
    const part = fc.constantFrom("..", ".", "a", "b", "", "ü");
    const path = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join("/"));
    const item: fc.Arbitrary<Item> = fc.oneof(
      path.map((name) => ({ name, content: "x" })),
      fc.tuple(path, path).map(([name, linkname]): Item => ({ name, type: "symlink", linkname })),
      fc.tuple(path, path).map(([name, linkname]): Item => ({ name, type: "link", linkname })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(item, { minLength: 1, maxLength: 6 }), async (items) => {
        const places = await folderFor();
        const before = await entries(join(places.workspace, ".."));
        await unpackInto(places, await tarOf(items.map((each) => ({ ...each, name: each.name || "x" })))).catch(
          () => {},
        );
        const after = await entries(join(places.workspace, ".."));
        expect(after.filter((name) => !name.startsWith("workspace/"))).toEqual(before);
        expect(await readFile(join(places.outside, "precious"), "utf8")).toBe("untouched");
      }),
      { numRuns: 60 },
    );
  });
});

describe("an archive that is written", () => {
  it.each(["gzip", "zstd"] as const)("unpacks to what was read, with %s", async (compression) => {
    const places = await folderFor();
    const long = `${"ordner-ü/".repeat(20)}datei`;
    const big = Buffer.alloc(3 * MEBIBYTE, "pattern");
    const tar = await tarOf([
      { name: "./a/", type: "directory" },
      { name: "./a/x", mode: 0o700, content: big },
      { name: long, content: "deep" },
      { name: "a/to", type: "symlink", linkname: "../a/x" },
    ]);
    const source = join(places.temporary, "source.tar");
    await writeFile(source, tar);
    const file = await TemporaryFile.make(places.temporary);
    expect(await writeTar(readTar(createReadStream(source), LIMITS), file, compression)).toBe(4);
    const { signal } = new AbortController();
    await unpack({ file, compression, workspace: places.workspace, into: ".", limits: LIMITS, signal });
    await file.close();
    expect((await readFile(join(places.workspace, "a/x"))).equals(big)).toBe(true);
    expect(await readFile(join(places.workspace, long), "utf8")).toBe("deep");
    expect(await readlink(join(places.workspace, "a/to"))).toBe("../a/x");
    expect((await readdir(places.temporary)).filter((name) => name.startsWith(".archive"))).toEqual([]);
  });
});

describe("the digest of some files", () => {
  it("changes with a name and with a content, and is of plain files inside of the workspace only", async () => {
    const { workspace, outside } = await folderFor();
    const write = (name: string, content: string) => writeFile(join(workspace, name), content);
    await write("lock", "one");
    await write("other", "one");
    await chmod(join(workspace, "lock"), 0o600);
    const first = await hashFiles(workspace, ["lock"]);
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(await hashFiles(workspace, ["./lock"])).not.toBe(await hashFiles(workspace, ["other"]));
    await write("lock", "two");
    expect(await hashFiles(workspace, ["lock"])).not.toBe(first);
    await symlink(join(outside, "precious"), join(workspace, "link"));
    await symlink(outside, join(workspace, "folder"));
    for (const path of ["link", "folder/precious", "nothing", "../outside/precious", "/etc/passwd", "."]) {
      await expect(hashFiles(workspace, [path])).rejects.toThrow(ArchiveFault);
    }
  });
});
