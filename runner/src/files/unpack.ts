import type { FileHandle } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { ArchiveFault } from "./archive-fault.ts";
import { pathParts, shown } from "./archive-path.ts";
import { type Compression, decompressor } from "./compression.ts";
import { type ArchiveEntry, type ArchiveLimits, readTar } from "./read-tar.ts";
import type { TemporaryFile } from "./temporary-file.ts";
import { WorkspaceTree } from "./workspace-tree.ts";

/** An archive that unpacks to more than this and to so many times its own size was made to fill the disk. */
const FREE_BYTES = 256 * 1024 * 1024;
const MAX_RATIO = 200;
const SECOND_MS = 1_000;

/**
 * Unpacks an archive into a folder of a workspace, under `into`. All of it is read before anything is written, so that an
 * archive which breaks the rules leaves nothing behind. Everything belongs to the runner afterwards. Answers the number of
 * entries; throws ArchiveFault.
 */
export async function unpack(options: {
  file: TemporaryFile;
  compression: Compression;
  workspace: string;
  into: string;
  limits: ArchiveLimits;
  signal: AbortSignal;
}): Promise<number> {
  const { file, compression, signal } = options;
  const maxBytes = Math.min(options.limits.maxBytes, Math.max(FREE_BYTES, file.size * MAX_RATIO));
  const limits = { ...options.limits, maxBytes };
  let count = 0;
  const links = new Set<string>();
  await eachEntry(file, compression, { limits, signal }, async (entry) => {
    count += 1;
    refuseWayThroughLink(entry, links);
  });
  const base = pathParts(options.into);
  const tree = await WorkspaceTree.open(options.workspace);
  try {
    await tree.makeFolder(base);
    await eachEntry(file, compression, { limits, signal }, (entry) => put(tree, base, entry));
  } finally {
    await tree.close();
  }
  return count;
}

/** `links` are those of the entries before, which this one may replace, and not pass through. */
function refuseWayThroughLink({ type, parts }: ArchiveEntry, links: Set<string>): void {
  const path = parts.join("/");
  let way = "";
  for (const part of type === "folder" ? parts : parts.slice(0, -1)) {
    way = way === "" ? part : `${way}/${part}`;
    if (links.has(way)) throw new ArchiveFault(`the path ${shown(path)} leads through the link ${shown(way)}`);
  }
  if (type === "symlink") links.add(path);
  else links.delete(path);
}

async function eachEntry(
  file: TemporaryFile,
  compression: Compression,
  { limits, signal }: { limits: ArchiveLimits; signal: AbortSignal },
  take: (entry: ArchiveEntry) => Promise<void>,
): Promise<void> {
  try {
    await pipeline(
      file.read(),
      decompressor(compression),
      async (source: AsyncIterable<Buffer>) => {
        for await (const entry of readTar(source, limits)) await take(entry);
      },
      { signal },
    );
  } catch (error) {
    signal.throwIfAborted();
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith("Z_") || code?.startsWith("ZSTD_")) throw new ArchiveFault("the archive is broken");
    throw error;
  }
}

async function put(tree: WorkspaceTree, base: readonly string[], entry: ArchiveEntry): Promise<void> {
  const parts = [...base, ...entry.parts];
  switch (entry.type) {
    case "folder":
      return tree.makeFolder(parts);
    case "symlink":
      return tree.createLink(parts, entry.target);
    case "hardlink":
      return tree.createCopy(parts, [...base, ...pathParts(entry.target)]);
    case "file":
      return fill(await tree.createFile(parts), entry);
  }
}

async function fill(file: FileHandle, entry: ArchiveEntry): Promise<void> {
  try {
    for await (const piece of entry.content) await file.writeFile(piece);
    // Its owner may change it, as a checkout's files, whatever the archive says; nobody becomes anybody else by it.
    await file.chmod(entry.mode | 0o600);
    await file.utimes(entry.modifiedAt / SECOND_MS, entry.modifiedAt / SECOND_MS);
  } finally {
    await file.close();
  }
}
