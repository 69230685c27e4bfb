import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import { join } from "node:path";

/**
 * A descriptor of a file in `folder` that has no name any more when the first byte is written: the last process that holds it takes it
 * along, however it ends. The caller closes it.
 */
export function namelessFile(folder: string, content: Buffer): number {
  const path = join(folder, "seed");
  const descriptor = openSync(path, "wx+", 0o600);
  try {
    unlinkSync(path);
    for (let written = 0; written < content.length; ) written += writeSync(descriptor, content, written);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}
