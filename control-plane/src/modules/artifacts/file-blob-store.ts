import { constants } from "node:fs";
import { type FileHandle, mkdir, open, rm, rmdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { isId } from "@shipfox/shared/ids";
import { storageError, syncFolder, writeAll } from "../../disk/durable-files.ts";
import type { BlobPlace, BlobStore } from "./blob-store.ts";

const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const READ_PIECE_BYTES = 256 * 1024;

/** `BlobStore` on a local disk: `<root>/<workspace>/<blob>`, files 0600, folders 0700. */
export class FileBlobStore implements BlobStore {
  readonly #root: string;

  constructor(root: string) {
    this.#root = resolve(root);
  }

  async length(place: BlobPlace): Promise<number> {
    const file = await openIfThere(this.#path(place), constants.O_RDWR);
    if (file === null) return 0;
    try {
      // What a dead process wrote may be in memory only, and counts as acknowledged from now on.
      await file.datasync();
      return (await file.stat()).size;
    } finally {
      await file.close();
    }
  }

  async write(place: BlobPlace, position: number, chunk: Uint8Array): Promise<void> {
    try {
      if (position === 0) await this.#create(place, chunk);
      else await writeDurably(this.#path(place), constants.O_WRONLY, chunk, position);
    } catch (error) {
      throw storageError(error, "artifacts and caches");
    }
  }

  async *read(place: BlobPlace, position: number, length: number): AsyncIterable<Buffer> {
    const file = await open(this.#path(place), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      const end = position + length;
      for (let at = position; at < end; ) {
        const piece = Buffer.allocUnsafe(Math.min(READ_PIECE_BYTES, end - at));
        const { bytesRead } = await file.read(piece, 0, piece.length, at);
        if (bytesRead === 0) throw new Error(`the blob ${place.blobId} ends at byte ${at}, before byte ${end}`);
        yield piece.subarray(0, bytesRead);
        at += bytesRead;
      }
    } finally {
      await file.close();
    }
  }

  async remove(place: BlobPlace): Promise<void> {
    await rm(this.#path(place), { force: true });
    // A workspace's folder goes with its last file.
    await rmdir(this.#folder(place)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOTEMPTY" && error.code !== "ENOENT") throw error;
    });
  }

  async #create(place: BlobPlace, chunk: Uint8Array): Promise<void> {
    const folder = this.#folder(place);
    for (;;) {
      const made = await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
      try {
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
        await writeDurably(this.#path(place), flags, chunk, 0);
      } catch (error) {
        // Somebody removed the last file of the workspace, and its folder, in between.
        if ((error as NodeJS.ErrnoException).code === "ENOENT") continue;
        throw error;
      }
      await syncFolder(folder);
      if (made !== undefined) await syncFolder(this.#root);
      return;
    }
  }

  #folder({ workspaceId }: BlobPlace): string {
    if (!isId(workspaceId)) throw new Error("a blob is kept under the id of its workspace");
    return join(this.#root, workspaceId);
  }

  #path(place: BlobPlace): string {
    if (!isId(place.blobId)) throw new Error("a blob is kept under its id");
    return join(this.#folder(place), place.blobId);
  }
}

async function writeDurably(path: string, flags: number, chunk: Uint8Array, position: number): Promise<void> {
  const file = await open(path, flags | constants.O_NOFOLLOW, FILE_MODE);
  try {
    await writeAll(file, chunk, position);
    await file.datasync();
  } finally {
    await file.close();
  }
}

function openIfThere(path: string, flags: number): Promise<FileHandle | null> {
  return open(path, flags | constants.O_NOFOLLOW).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
}
