import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

export type StepFileContent =
  | { kind: "content"; content: Buffer }
  | { kind: "missing" }
  /** A link, pipe, device or folder where the file should be, or no right to read it: the step tampered with it. */
  | { kind: "not_regular" }
  | { kind: "too_large"; bytes: number; maxBytes: number };

/**
 * Reads a file that a step wrote, trusting nothing about it: links are not followed, a pipe does not block, a file that is
 * over `maxBytes`, or grows beyond it while being read, is refused whole.
 */
export async function readStepFile(path: string, maxBytes: number): Promise<StepFileContent> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") return { kind: "missing" };
    if (code !== undefined && TAMPERED.has(code)) return { kind: "not_regular" };
    throw error;
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) return { kind: "not_regular" };
    if (stat.size > maxBytes) return { kind: "too_large", bytes: stat.size, maxBytes };
    return await readAtMost(file, maxBytes);
  } finally {
    await file.close();
  }
}

/** A link; a pipe or socket; taken from us, who are no other user; a name that is too long or no name. */
const TAMPERED: ReadonlySet<string> = new Set(["ELOOP", "ENXIO", "EACCES", "EPERM", "ENAMETOOLONG", "ENOTDIR"]);
const READ_BYTES = 64 * 1024;

async function readAtMost(file: FileHandle, maxBytes: number): Promise<StepFileContent> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, null);
    if (bytesRead === 0) return { kind: "content", content: Buffer.concat(parts, bytes) };
    bytes += bytesRead;
    if (bytes > maxBytes) return { kind: "too_large", bytes, maxBytes };
    parts.push(buffer.subarray(0, bytesRead));
  }
}
