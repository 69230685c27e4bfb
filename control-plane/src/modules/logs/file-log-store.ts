import { constants } from "node:fs";
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { isId } from "@shipfox/shared/ids";
import { MAX_LOG_APPEND_BYTES } from "@shipfox/shared/machine";
import { storageError, syncFolder, writeAll } from "../../disk/durable-files.ts";
import { archivedLength, readArchive, writeArchive } from "./log-archive.ts";
import type { LogPlace, LogStore } from "./log-store.ts";
import { OpenFiles } from "./open-files.ts";

const DISK = "the logs";
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;
const ARCHIVE_SUFFIX = ".zst";
/** An archive that is being written; what a crash left of one is written again. */
const UNFINISHED_SUFFIX = ".zst.new";
const MAX_OPEN_FILES = 512;
const REPAIR_PIECE_BYTES = 256 * 1024;
const NEWLINE = 0x0a;
const NUL = 0x00;

/**
 * `LogStore` on a local disk: `<root>/<workspace>/<execution>/<step>-<attempt>.ndjson`, files 0600, folders 0700.
 * An archived log is a file of zstd frames beside it, with the suffix `.zst`; the plain one counts while both are there.
 */
export class FileLogStore implements LogStore {
  readonly #root: string;
  readonly #files = new OpenFiles(MAX_OPEN_FILES);

  constructor(root: string) {
    this.#root = resolve(root);
  }

  async create(place: LogPlace, chunk: Uint8Array): Promise<void> {
    const path = this.#path(place);
    const folder = dirname(path);
    const firstMade = await mkdir(folder, { recursive: true, mode: FOLDER_MODE }).catch((error) =>
      Promise.reject(storageError(error, DISK)),
    );
    await this.#writeDurably(path, "empty", chunk, 0, foldersToSync(folder, firstMade));
  }

  append(place: LogPlace, position: number, chunk: Uint8Array): Promise<void> {
    return this.#writeDurably(this.#path(place), "existing", chunk, position, []);
  }

  /**
   * A process that dies leaves at most half a chunk at the end. A machine that loses power may leave zeros within the
   * bytes that were not flushed, which are at most one append, because the appends of a log go one after another.
   */
  async repair(place: LogPlace): Promise<number> {
    const length = await this.#ifThere(place, null, async (handle) => {
      const { size } = await handle.stat();
      const length = await endOfWholeRecords(handle, size);
      if (length < size) await handle.truncate(length);
      // What the dead process wrote may be in memory only, and counts as acknowledged from now on.
      await handle.datasync();
      return length;
    });
    return length ?? withFile(this.#path(place) + ARCHIVE_SUFFIX, 0, archivedLength);
  }

  async read(place: LogPlace, position: number, length: number): Promise<Buffer> {
    return (
      (await this.#readPlain(place, position, length)) ??
      withFile(this.#path(place) + ARCHIVE_SUFFIX, Buffer.alloc(0), (archive) => readArchive(archive, position, length))
    );
  }

  async seal(place: LogPlace, length: number): Promise<void> {
    await this.#ifThere(place, undefined, async (handle) => {
      const { size } = await handle.stat();
      if (size > length) await handle.truncate(length);
    });
    this.#files.drop(this.#path(place));
  }

  async archive(place: LogPlace): Promise<void> {
    const path = this.#path(place);
    const unfinished = path + UNFINISHED_SUFFIX;
    if ((await this.#readPlain(place, 0, 1)) === null) return;
    const target = await open(unfinished, "w", FILE_MODE);
    try {
      await writeArchive(target, async (position, length) => {
        return (await this.#readPlain(place, position, length)) ?? Buffer.alloc(0);
      });
    } finally {
      await target.close();
    }
    await rename(unfinished, path + ARCHIVE_SUFFIX);
    await syncFolder(dirname(path));
    await this.#removePlain(path);
  }

  async remove(place: LogPlace): Promise<void> {
    const path = this.#path(place);
    await this.#removePlain(path);
    for (const suffix of [ARCHIVE_SUFFIX, UNFINISHED_SUFFIX]) await rm(path + suffix, { force: true });
    const execution = dirname(path);
    for (const folder of [execution, dirname(execution)]) await rmdir(folder).catch(unlessInUse);
  }

  async usage({ workspaceId, executionId }: Pick<LogPlace, "workspaceId" | "executionId">): Promise<number> {
    const folder = this.#folder(workspaceId, executionId);
    const names = await readdir(folder).catch(orIfMissing([] as string[]));
    const sizes = await Promise.all(names.map((name) => rawSize(join(folder, name))));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  close(): Promise<void> {
    return this.#files.close();
  }

  /** Half a chunk behind the log's length, after a failure, does no harm: it is overwritten, or cut off at the end. */
  async #writeDurably(
    path: string,
    how: "empty" | "existing",
    chunk: Uint8Array,
    position: number,
    folders: string[],
  ): Promise<void> {
    try {
      await this.#files.use(path, how, async (handle) => {
        await allSettled([writeAll(handle, chunk, position), ...folders.map(syncFolder)]);
      });
    } catch (error) {
      throw storageError(error, DISK);
    }
  }

  /** Dropped after it is gone: a reader in between would keep the file open, and its room taken. */
  async #removePlain(path: string): Promise<void> {
    await rm(path, { force: true });
    this.#files.drop(path);
  }

  /** Null when there is no plain file. */
  #readPlain(place: LogPlace, position: number, length: number): Promise<Buffer | null> {
    return this.#ifThere(place, null, (handle) => readUpTo(handle, position, Buffer.allocUnsafe(length)));
  }

  #ifThere<T, E>(place: LogPlace, otherwise: E, work: (handle: FileHandle) => Promise<T>): Promise<T | E> {
    return this.#files.use(this.#path(place), "existing", work).catch(orIfMissing(otherwise));
  }

  #path({ workspaceId, executionId, stepId, attempt }: LogPlace): string {
    if (!isId(stepId) || !Number.isSafeInteger(attempt))
      throw new Error("a log is kept under the id of a step and the number of an attempt");
    return join(this.#folder(workspaceId, executionId), `${stepId}-${attempt}.ndjson`);
  }

  #folder(workspaceId: string, executionId: string): string {
    if (!isId(workspaceId) || !isId(executionId))
      throw new Error("a log is kept under the ids of a workspace and an execution");
    return join(this.#root, workspaceId, executionId);
  }
}

async function rawSize(path: string): Promise<number> {
  if (path.endsWith(UNFINISHED_SUFFIX)) return 0;
  if (path.endsWith(ARCHIVE_SUFFIX)) return withFile(path, 0, archivedLength);
  return stat(path).then((file) => file.size, orIfMissing(0));
}

/** Opens a file for reading; answers `otherwise` when there is none. */
async function withFile<T>(path: string, otherwise: T, work: (file: FileHandle) => Promise<T>): Promise<T> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(orIfMissing(null));
  if (file === null) return otherwise;
  try {
    return await work(file);
  } finally {
    await file.close();
  }
}

/** A folder goes with its last log. */
function unlessInUse(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOTEMPTY" && error.code !== "ENOENT") throw error;
}

/** Waits for all, so that nothing uses the file any more when one fails. */
async function allSettled(work: Promise<void>[]): Promise<void> {
  await Promise.allSettled(work);
  await Promise.all(work);
}

/** The folder that got a new file, and above it each one that got a new folder. */
function foldersToSync(folder: string, firstMade: string | undefined): string[] {
  const changed = [folder];
  if (firstMade === undefined) return changed;
  for (let made = folder; made.length >= firstMade.length; made = dirname(made)) changed.push(dirname(made));
  return changed;
}

async function readUpTo(handle: FileHandle, position: number, target: Buffer): Promise<Buffer> {
  let filled = 0;
  while (filled < target.length) {
    const { bytesRead } = await handle.read(target, filled, target.length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return target.subarray(0, filled);
}

async function endOfWholeRecords(handle: FileHandle, size: number): Promise<number> {
  const piece = Buffer.allocUnsafe(Math.min(REPAIR_PIECE_BYTES, size));
  // One append and the record before it, so that a newline is found even when nothing of the append is whole.
  const from = Math.max(0, size - 2 * MAX_LOG_APPEND_BYTES);
  let end = from;
  for (let position = from; position < size; position += piece.length) {
    const bytes = await readUpTo(handle, position, piece);
    const nul = bytes.indexOf(NUL);
    const newline = bytes.subarray(0, nul < 0 ? bytes.length : nul).lastIndexOf(NEWLINE);
    if (newline >= 0) end = position + newline + 1;
    if (nul >= 0) break;
  }
  return end;
}

function orIfMissing<T>(otherwise: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === "ENOENT") return otherwise;
    throw error;
  };
}
