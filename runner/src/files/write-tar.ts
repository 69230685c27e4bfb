import { once } from "node:events";
import { pipeline } from "node:stream/promises";
import { type Header, type Pack, pack } from "tar-stream";
import { ArchiveFault } from "./archive-fault.ts";
import { shown } from "./archive-path.ts";
import { type Compression, compressor } from "./compression.ts";
import type { ArchiveEntry } from "./read-tar.ts";
import type { TemporaryFile } from "./temporary-file.ts";

/** What the header of a tar archive can tell. */
const MAX_FILE_BYTES = 8 * 1024 * 1024 * 1024 - 1;
const TYPES = { file: "file", folder: "directory", symlink: "symlink", hardlink: "link" } as const;

/** Writes entries as a compressed archive of our own making: no owners, nothing but what was read. Answers how many they were. */
export async function writeTar(
  entries: AsyncIterable<ArchiveEntry>,
  target: TemporaryFile,
  compression: Compression,
): Promise<number> {
  const archive = pack();
  let count = 0;
  const fill = async (): Promise<void> => {
    for await (const entry of entries) {
      count += 1;
      await addEntry(archive, entry);
    }
    archive.finalize();
  };
  const store = async (compressed: AsyncIterable<Buffer>): Promise<void> => {
    for await (const piece of compressed) await target.append(piece);
  };
  const storing = pipeline(archive, compressor(compression), store);
  storing.catch(() => {});
  try {
    await Promise.race([fill(), storing.then(() => undefined)]);
    await storing;
  } catch (error) {
    archive.destroy();
    await storing.catch(() => {});
    throw error;
  }
  return count;
}

async function addEntry(archive: Pack, entry: ArchiveEntry): Promise<void> {
  const path = entry.parts.join("/");
  if (entry.size > MAX_FILE_BYTES)
    throw new ArchiveFault(`the file ${shown(path)} has more than ${MAX_FILE_BYTES} bytes`);
  const header: Header = {
    name: entry.type === "folder" ? `${path}/` : path,
    type: TYPES[entry.type],
    mode: entry.mode,
    mtime: new Date(entry.modifiedAt),
    size: entry.size,
    linkname: entry.target,
    uid: 0,
    gid: 0,
    uname: "",
    gname: "",
    devmajor: 0,
    devminor: 0,
  };
  const sink = archive.entry(header);
  const done = once(sink, "close");
  done.catch(() => {});
  for await (const piece of entry.content) {
    if (!sink.write(piece)) await Promise.race([once(sink, "drain"), done]);
  }
  sink.end(null);
  await done;
}
