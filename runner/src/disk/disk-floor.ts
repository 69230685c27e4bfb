import { statfs } from "node:fs/promises";

export interface DiskFloor {
  /** Bytes that must be free for users who are not root; 0 asks for none. */
  bytes: number;
  inodes: number;
}

interface Space {
  path: string;
  freeBytes: number;
  freeInodes: number;
  /** Some file systems count none. */
  countsInodes: boolean;
}

/** Why there is too little room, a sentence for people, or null when there is enough. */
export function decideShortage(spaces: readonly Space[], floor: DiskFloor): string | null {
  for (const { path, freeBytes, freeInodes, countsInodes } of spaces) {
    if (freeBytes < floor.bytes) {
      return `The disk of ${path} has ${freeBytes} bytes left, less than the ${floor.bytes} of SHIPFOX_RUNNER_DISK_FLOOR_BYTES.`;
    }
    if (countsInodes && freeInodes < floor.inodes) {
      return `The disk of ${path} has room for ${freeInodes} more files, less than the ${floor.inodes} of SHIPFOX_RUNNER_DISK_FLOOR_INODES.`;
    }
  }
  return null;
}

/** As `decideShortage`, for the file systems of `paths` now. A path that is not there is left out. */
export async function findShortage(paths: readonly string[], floor: DiskFloor): Promise<string | null> {
  const spaces = await Promise.all(paths.map(async (path) => await spaceOf(path).catch(() => null)));
  return decideShortage(
    spaces.filter((space) => space !== null),
    floor,
  );
}

async function spaceOf(path: string): Promise<Space> {
  const { bavail, bsize, files, ffree } = await statfs(path);
  return { path, freeBytes: bavail * bsize, freeInodes: ffree, countsInodes: files > 0 };
}
