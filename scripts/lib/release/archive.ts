import { execFile } from "node:child_process";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ROOT } from "./bundle.ts";
import { sha256 } from "./checksums.ts";
import { type ArchiveFile, TAR_END, tarHeader, tarPadding } from "./tar.ts";

/** 2000-01-01, so that no unpacking program is surprised. */
const DEFAULT_MTIME_S = 946_684_800;
const MAX_PACKED_BYTES = 1024 ** 3;
/** Compressing Node takes longer than all else together, and Node does not change: it is kept. */
const KEPT_FROM_BYTES = 32 * 1024 ** 2;
const CACHE = join(ROOT, ".cache", "release");

/**
 * Writes a tar.gz with the files in the order given. It is made of several gzip members, one after another, which unpacks as one.
 * The bytes depend on the files alone, and on SOURCE_DATE_EPOCH when it is set.
 */
export async function writeArchive(path: string, files: readonly ArchiveFile[]): Promise<void> {
  const mtime = Number(process.env["SOURCE_DATE_EPOCH"] ?? DEFAULT_MTIME_S);
  const members: Buffer[] = [];
  let pending: Uint8Array[] = [];
  for (const file of files) {
    pending.push(tarHeader(file, mtime));
    const body = [file.contents, tarPadding(file)];
    if (file.contents.length < KEPT_FROM_BYTES) {
      pending.push(...body);
      continue;
    }
    members.push(await gzip(Buffer.concat(pending)), await keptGzip(Buffer.concat(body)));
    pending = [];
  }
  members.push(await gzip(Buffer.concat([...pending, TAR_END])));
  await replaceFile(path, Buffer.concat(members));
}

/** A reader never sees a half of it. */
export async function replaceFile(path: string, contents: string | Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const beside = `${path}.${process.pid}.new`;
  await writeFile(beside, contents);
  await rename(beside, path);
}

async function keptGzip(contents: Buffer): Promise<Buffer> {
  const path = join(CACHE, `${sha256(contents)}.gz`);
  const kept = await readFile(path).catch(() => null);
  if (kept !== null) return kept;
  const packed = await gzip(contents);
  await replaceFile(path, packed);
  return packed;
}

/** By the program: what zlib inside of Node makes depends on the processor. */
function gzip(contents: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      "gzip",
      ["-n", "-6"],
      { encoding: "buffer", maxBuffer: MAX_PACKED_BYTES },
      (error, stdout) => (error === null ? resolve(stdout) : reject(new Error("gzip failed", { cause: error }))),
    );
    child.stdin?.on("error", () => {});
    child.stdin?.end(contents);
  });
}
