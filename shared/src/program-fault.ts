import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { dirname, isAbsolute } from "node:path";

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/**
 * Why an operator's program may not be run as this process's user, or null: it has to be an executable that only root and
 * that user can change, and so has every folder on the way to it. Never rejects.
 */
export async function findProgramFault(path: string): Promise<string | null> {
  if (!isAbsolute(path)) return `${path} is not an absolute path`;
  try {
    const file = await realpath(path);
    if (!(await stat(file)).isFile()) return `${path} is not a file`;
    for (let place = file; ; place = dirname(place)) {
      const { uid, mode } = await stat(place);
      if (uid !== 0 && uid !== process.getuid?.()) return `${place} belongs to user ${uid}`;
      // In a sticky folder others can add files but not replace ours.
      const isShared = (mode & WRITABLE_BY_OTHERS) !== 0 && (place === file || (mode & STICKY) === 0);
      if (isShared) return `${place} can be written by others`;
      if (place === dirname(place)) break;
    }
    await access(file, constants.X_OK);
    return null;
  } catch (error) {
    return `${path} cannot be run: ${(error as Error).message}`;
  }
}
