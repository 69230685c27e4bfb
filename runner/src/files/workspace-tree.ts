import { constants } from "node:fs";
import { type FileHandle, lstat, mkdir, open, rm, symlink } from "node:fs/promises";
import { ArchiveFault } from "./archive-fault.ts";
import { shown } from "./archive-path.ts";

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const SAME_FILE = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const FOLDER_MODE = 0o755;

type Parts = readonly string[];

/**
 * A folder of a job as the runner may touch it: every step down is taken through the handle of the folder above, and follows no
 * link, so that nothing outside is reached whatever lies in it, and whoever swaps it meanwhile.
 */
export class WorkspaceTree {
  /** The folders on the way to the last one that was asked for; the first is the root. */
  readonly #open: { readonly name: string; readonly handle: FileHandle }[];

  private constructor(root: FileHandle) {
    this.#open = [{ name: "", handle: root }];
  }

  static async open(root: string): Promise<WorkspaceTree> {
    return new WorkspaceTree(await open(root, FOLDER));
  }

  async close(): Promise<void> {
    await this.#closeBelow(0);
  }

  /** Makes a folder, and those above it, where there is none. */
  async makeFolder(parts: Parts): Promise<void> {
    await this.#enter(parts, "make");
  }

  /** Puts a file, in the place of another one or a link. The caller closes it. */
  async createFile(parts: Parts): Promise<FileHandle> {
    return await open(await this.#makeRoom(parts), NEW_FILE, 0o600);
  }

  async createLink(parts: Parts, target: string): Promise<void> {
    await symlink(target, await this.#makeRoom(parts));
  }

  /** A copy of a file that is there already: a second name for it cannot be made without trusting the way to it. */
  async createCopy(parts: Parts, existing: Parts): Promise<void> {
    const source = await this.openFile(existing);
    if (source === null) throw new ArchiveFault(`the link ${shown(parts.join("/"))} is to something that is no file`);
    try {
      const { mode, atime, mtime } = await source.stat();
      const target = await this.createFile(parts);
      try {
        for await (const piece of source.createReadStream({ autoClose: false })) await target.writeFile(piece);
        await target.chmod(mode & 0o777);
        await target.utimes(atime, mtime);
      } finally {
        await target.close();
      }
    } finally {
      await source.close();
    }
  }

  /** A regular file for reading; null when there is none, or a link on the way. */
  async openFile(parts: Parts): Promise<FileHandle | null> {
    let handle: FileHandle | null = null;
    try {
      const path = await this.#pathOf(parts, "find");
      handle = await open(path, SAME_FILE);
      if ((await handle.stat()).isFile()) return handle;
    } catch {
      return null;
    }
    await handle.close();
    return null;
  }

  /** As far down as there are folders: a path for the last of them, good until the next call, and what is missing below it. */
  async descend(parts: Parts): Promise<{ folder: string; missing: Parts }> {
    for (let depth = parts.length; ; depth -= 1) {
      try {
        const { fd } = await this.#enter(parts.slice(0, depth), "find");
        return { folder: `/proc/self/fd/${fd}`, missing: parts.slice(depth) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOENT" || depth === 0) throw error;
      }
    }
  }

  /** Where something new may be made: what lay there, unless it is a folder, is gone. */
  async #makeRoom(parts: Parts): Promise<string> {
    const path = await this.#pathOf(parts, "make");
    const found = await lstat(path).catch(() => null);
    if (found?.isDirectory()) throw new ArchiveFault(`a folder lies where ${shown(parts.join("/"))} should be`);
    if (found) await rm(path);
    return path;
  }

  async #pathOf(parts: Parts, missing: "make" | "find"): Promise<string> {
    const folder = await this.#enter(parts.slice(0, -1), missing);
    return `/proc/self/fd/${folder.fd}/${parts.at(-1) ?? ""}`;
  }

  async #enter(parts: Parts, missing: "make" | "find"): Promise<FileHandle> {
    const same = parts.findIndex((part, index) => this.#open[index + 1]?.name !== part);
    await this.#closeBelow(1 + (same < 0 ? parts.length : same));
    for (const name of parts.slice(this.#open.length - 1)) {
      const above = this.#open.at(-1)?.handle as FileHandle;
      const path = `/proc/self/fd/${above.fd}/${name}`;
      if (missing === "make") await mkdir(path, FOLDER_MODE).catch(unlessThere);
      const handle = await open(path, FOLDER).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ELOOP" && error.code !== "ENOTDIR") throw error;
        throw new ArchiveFault(`${shown(parts.join("/"))} leads through something that is no folder`);
      });
      this.#open.push({ name, handle });
    }
    return this.#open.at(-1)?.handle as FileHandle;
  }

  /** Keeps the first `count` folders open. */
  async #closeBelow(count: number): Promise<void> {
    for (const { handle } of this.#open.splice(count)) await handle.close();
  }
}

function unlessThere(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
