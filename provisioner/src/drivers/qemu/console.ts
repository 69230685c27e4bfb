import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { consoleText } from "../console-text.ts";
import { MAX_CONSOLE_CHARS } from "../driver.ts";

/** Newest last. Three, because the newest may have been begun a moment ago and is begun once more at the end. */
const PARTS = ["console.2", "console.1", "console.0"];
const READ_BYTES = 32;
const READS_PER_PART = 16_384;
/**
 * The program that keeps the last of a console, whatever a guest prints: 16 KiB to 512 KiB in each part, since every read counts, of
 * one byte or of 32. It outlives the provisioner and ends with QEMU.
 */
export const CONSOLE_KEEPER = `
while dd bs=${READ_BYTES} count=${READS_PER_PART} of=console.0 status=none && [ -s console.0 ]; do
  [ ! -e console.1 ] || mv -f console.1 console.2
  mv -f console.0 console.1
done`;

/** The last of the console in a machine's run folder, at most `MAX_CONSOLE_CHARS`, without control characters; null when it said nothing. */
export async function readConsoleTail(runFolder: string): Promise<string | null> {
  const parts: Buffer[] = [];
  for (const name of PARTS) parts.push(await readTail(join(runFolder, name)));
  return consoleText(Buffer.concat(parts));
}

/** The folder is a guest's if it broke out of QEMU: only a regular file is read, and never through a link. */
async function readTail(file: string): Promise<Buffer> {
  try {
    const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const status = await handle.stat();
      if (!status.isFile()) return Buffer.alloc(0);
      // Control characters go, so more is read than is answered.
      const length = Math.min(status.size, 4 * MAX_CONSOLE_CHARS);
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, status.size - length);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (["ENOENT", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")) return Buffer.alloc(0);
    throw error;
  }
}
