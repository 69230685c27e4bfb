import { type FileHandle, open } from "node:fs/promises";
import { ApiError } from "@shipfox/shared/errors";

export async function writeAll(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    const { bytesWritten } = await file.write(chunk, written, chunk.length - written, position + written);
    written += bytesWritten;
  }
}

/** What a folder holds is on the disk: a new file is there after a loss of power. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** 507 `storage-full` for a full disk, any other error as it is. `what` lies on the disk: "the logs". */
export function storageError(error: unknown, what: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== "ENOSPC" && code !== "EDQUOT") return error;
  const message = `The disk of ${what} is full, nothing was stored; free space on the control plane's data disk, then repeat.`;
  return new ApiError("storage-full", message, { cause: error });
}
