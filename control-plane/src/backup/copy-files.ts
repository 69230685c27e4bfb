import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { mkdir, open, readdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { writeAll } from "../disk/durable-files.ts";

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const PIECE_BYTES = 1024 * 1024;
const NO_LINKS = constants.O_RDONLY | constants.O_NOFOLLOW;

export interface FileSum {
  readonly sha256: string;
  readonly bytes: number;
}

/** Copies what a file holds and syncs it. Null when there is no such file. */
export async function copyFile(from: string, to: string): Promise<FileSum | null> {
  const source = await open(from, NO_LINKS).catch(nullIfMissing);
  if (source === null) return null;
  try {
    await mkdir(dirname(to), { recursive: true, mode: FOLDER_MODE });
    // A hook of a repository is nothing without that right.
    const { mode } = await source.stat();
    const target = await open(to, "w", FILE_MODE | (mode & constants.S_IXUSR));
    try {
      const sum = await readPieces(source, (piece, position) => writeAll(target, piece, position));
      await target.datasync();
      return sum;
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** Null when there is no such file. */
export async function sumOfFile(path: string): Promise<FileSum | null> {
  const file = await open(path, NO_LINKS).catch(nullIfMissing);
  if (file === null) return null;
  try {
    return await readPieces(file, async () => {});
  } finally {
    await file.close();
  }
}

/**
 * The files below a folder while others write there, each once, as paths from `root`. A file that takes the place of one
 * that vanished, as an archive that of its log, comes as well: a folder is listed until it has no new name.
 */
export async function* filesBelow(root: string, folder: string): AsyncIterable<string> {
  const seen = new Set<string>();
  for (;;) {
    const entries = await readdir(join(root, folder), { withFileTypes: true }).catch(nullIfMissing);
    const fresh = (entries ?? []).filter(({ name }) => !seen.has(name));
    if (fresh.length === 0) return;
    for (const entry of fresh.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      seen.add(entry.name);
      const path = join(folder, entry.name);
      if (entry.isDirectory()) yield* filesBelow(root, path);
      else if (entry.isFile()) yield path;
    }
  }
}

type Reading = Awaited<ReturnType<typeof open>>;

async function readPieces(
  file: Reading,
  use: (piece: Uint8Array, position: number) => Promise<void>,
): Promise<FileSum> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  let position = 0;
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return { sha256: hash.digest("hex"), bytes: position };
    const piece = buffer.subarray(0, bytesRead);
    hash.update(piece);
    await use(piece, position);
    position += bytesRead;
  }
}

function nullIfMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}
