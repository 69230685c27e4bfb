import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

const FILE_MODE = 0o600;
/**
 * A write settles when it is on the disk. The kernel joins those that run at once into one commit of its journal;
 * gathering them into rounds of `fdatasync` here was measured to be slower.
 */
const COMMON_FLAGS = constants.O_RDWR | constants.O_DSYNC | constants.O_NOFOLLOW;
const FLAGS = {
  existing: COMMON_FLAGS,
  empty: COMMON_FLAGS | constants.O_CREAT | constants.O_TRUNC,
};

interface OpenFile {
  readonly opening: Promise<FileHandle>;
  users: number;
  /** No longer kept: its last user closes it. */
  dropped: boolean;
}

/** Keeps the files used last open, for durable writes, at most `capacity` of them besides those in use at the moment. */
export class OpenFiles {
  readonly #capacity: number;
  readonly #files = new Map<string, OpenFile>();
  readonly #closing = new Set<Promise<void>>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Runs `work` with the file; it must not keep the handle. Rejects with ENOENT for an `existing` file that is not there. */
  async use<T>(path: string, how: keyof typeof FLAGS, work: (handle: FileHandle) => Promise<T>): Promise<T> {
    if (how === "empty") this.drop(path);
    const file = this.#files.get(path) ?? { opening: open(path, FLAGS[how], FILE_MODE), users: 0, dropped: false };
    file.users += 1;
    this.#keep(path, file);
    try {
      return await work(await file.opening);
    } finally {
      file.users -= 1;
      if (file.dropped) this.#closeUnused(file);
    }
  }

  /** Closes the file as soon as nobody uses it. */
  drop(path: string): void {
    const file = this.#files.get(path);
    if (!file) return;
    this.#files.delete(path);
    file.dropped = true;
    this.#closeUnused(file);
  }

  /** Settles when every file is closed. */
  async close(): Promise<void> {
    for (const path of this.#files.keys()) this.drop(path);
    await Promise.all(this.#closing);
  }

  #keep(path: string, file: OpenFile): void {
    this.#files.delete(path);
    this.#files.set(path, file);
    file.opening.catch(() => this.#files.get(path) === file && this.drop(path));
    if (this.#files.size <= this.#capacity) return;
    const [oldest] = this.#files.keys();
    if (oldest !== undefined) this.drop(oldest);
  }

  #closeUnused(file: OpenFile): void {
    if (file.users > 0) return;
    // A file that could not be opened has nothing to close, and its user was told.
    const closing = file.opening.then((handle) => handle.close()).catch(() => undefined);
    this.#closing.add(closing);
    void closing.then(() => this.#closing.delete(closing));
  }
}
