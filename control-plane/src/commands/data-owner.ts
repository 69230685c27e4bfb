import { chownSync, lstatSync, readdirSync, statSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** What the types of Node leave out. */
type WithGroups = { initgroups?(user: number, group: number): void };

/** Whose the data folder is; null when that is nobody else, this process is not root, or there is no folder. */
function otherOwnerOf(dataDir: string): Owner | null {
  const folder = statSync(dataDir, { throwIfNoEntry: false });
  if (folder === undefined || folder.uid === 0 || process.getuid?.() !== 0) return null;
  return { uid: folder.uid, gid: folder.gid };
}

/** From now on root is the owner of the data folder: what a command leaves there, the server must be able to use. */
export function becomeOwnerOf(dataDir: string): void {
  const owner = otherOwnerOf(dataDir);
  if (owner === null) return;
  process.setgroups?.([owner.gid]);
  try {
    (process as WithGroups).initgroups?.(owner.uid, owner.gid);
  } catch {
    // The owner has no name here, and so no further groups.
  }
  process.setgid?.(owner.gid);
  process.setuid?.(owner.uid);
  // Programs such as git look for their settings there, and may not look into root's.
  process.env["HOME"] = homeOfUser() ?? dataDir;
}

function homeOfUser(): string | null {
  try {
    return userInfo().homedir;
  } catch {
    return null;
  }
}

/** Gives what root has put into the data folder to its owner. */
export function giveToOwnerOf(dataDir: string): void {
  const owner = otherOwnerOf(dataDir);
  if (owner !== null) giveBelow(dataDir, owner);
}

function giveBelow(folder: string, owner: Owner): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const entry = lstatSync(path);
    if (entry.isSymbolicLink()) continue;
    chownSync(path, owner.uid, owner.gid);
    if (entry.isDirectory()) giveBelow(path, owner);
  }
}
