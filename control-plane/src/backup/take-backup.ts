import { existsSync } from "node:fs";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { ConfigError } from "@shipfox/shared/config";
import { VERSION } from "@shipfox/shared/version";
import { syncFolder } from "../disk/durable-files.ts";
import { copySqlite, SqliteCopy } from "../store/sqlite-copy.ts";
import { copyFile, type FileSum, filesBelow, sumOfFile } from "./copy-files.ts";
import { repositoryFiles } from "./repository-files.ts";
import { forgetMissing } from "./kept-files.ts";
import {
  DATABASE_FILE,
  DUMP_FILE,
  FOLDERS,
  KEY_FILE,
  MANIFEST_FILE,
  type Manifest,
  newManifest,
  PARTIAL_SUFFIX,
  SUMS_FILE,
} from "./layout.ts";

const FILE_MODE = 0o600;

export interface BackupRequest {
  readonly dataDir: string;
  /** A folder that does not exist. */
  readonly target: string;
  readonly usesPostgres: boolean;
  /** What pg_dump wrote; undefined on SQLite. */
  readonly dump: string | undefined;
  readonly withKeys: boolean;
  /** Ids of the root keys; null when there are none. */
  readonly rootKeyIds: () => readonly string[] | null;
  readonly now: number;
}

export interface TakenBackup {
  readonly manifest: Manifest;
  /** Logs, artifacts and caches that were deleted while it was taken; it has neither them nor their rows. */
  readonly deletedMeanwhile: number;
}

/**
 * Copies a control plane's data into a new folder while it runs: the database as it is at one moment, then the files, which
 * hold at least what that database knows of. A folder that bears its final name is whole. Throws ConfigError.
 */
export async function takeBackup(request: BackupRequest): Promise<TakenBackup> {
  const target = resolve(request.target);
  assertPossible(request, target);
  const rootKeyIds = request.rootKeyIds();
  if (rootKeyIds === null)
    throw new ConfigError(`there is no root key in ${resolve(request.dataDir)}; set SHIPFOX_ROOT_KEY`);
  const partial = `${target}${PARTIAL_SUFFIX}`;
  // Not made: that would be a folder of the wrong disk, where one is only not mounted.
  if (!existsSync(dirname(target)))
    throw new ConfigError(`there is no folder ${dirname(target)} for the backup; make or mount it, then repeat`);
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { mode: 0o700 }).catch((error: Error) => {
    throw new ConfigError(`the backup cannot be made: ${error.message}`);
  });
  const takenAt = new Date(request.now).toISOString();
  if (!request.usesPostgres) copySqlite(request.dataDir, join(partial, DATABASE_FILE));
  const sums = await copyFiles(request, partial);
  const deletedMeanwhile = request.usesPostgres ? 0 : forgetDeleted(partial, sums, request.now);
  if (!request.usesPostgres) sums.set(DATABASE_FILE, (await sumOfFile(join(partial, DATABASE_FILE))) as FileSum);
  const manifest = newManifest({
    release: VERSION,
    taken_at: takenAt,
    database: request.usesPostgres ? "postgresql" : "sqlite",
    root_key_ids: [...rootKeyIds],
    files: sums.size,
    bytes: [...sums.values()].reduce((sum, { bytes }) => sum + bytes, 0),
  });
  const lines = [...sums].map(([path, { sha256 }]) => `${sha256}  ${path}\n`);
  await writeSynced(join(partial, SUMS_FILE), lines);
  await writeSynced(join(partial, MANIFEST_FILE), [`${JSON.stringify(manifest, null, 2)}\n`]);
  await syncFolder(partial);
  await rename(partial, target);
  await syncFolder(dirname(target));
  return { manifest, deletedMeanwhile };
}

function assertPossible({ dataDir, usesPostgres, dump }: BackupRequest, target: string): void {
  if (existsSync(target)) throw new ConfigError(`${target} is there already; name a folder that does not exist`);
  if (usesPostgres && dump === undefined) {
    throw new ConfigError(
      "on PostgreSQL the database is saved first: pg_dump --format=custom --file=FILE, then give --dump FILE",
    );
  }
  if (!usesPostgres && dump !== undefined)
    throw new ConfigError("--dump is for PostgreSQL; this control plane uses SQLite, which is copied by itself");
  if (usesPostgres || existsSync(join(dataDir, DATABASE_FILE))) return;
  throw new ConfigError(`there is no database in ${resolve(dataDir)}; name the control plane's folder with --data-dir`);
}

async function copyFiles({ dataDir, dump, withKeys }: BackupRequest, partial: string): Promise<Map<string, FileSum>> {
  const sums = new Map<string, FileSum>();
  const copy = async (from: string, path: string) => {
    const sum = await copyFile(from, join(partial, path));
    if (sum !== null) sums.set(path, sum);
    return sum !== null;
  };
  if (dump !== undefined && !(await copy(dump, DUMP_FILE)))
    throw new ConfigError(`there is no file ${dump}; name what pg_dump wrote`);
  for (const folder of FOLDERS)
    for await (const path of filesBelow(resolve(dataDir), folder)) await copy(join(dataDir, path), path);
  for await (const path of repositoryFiles(resolve(dataDir))) await copy(join(dataDir, path), path);
  if (withKeys && !(await copy(join(dataDir, KEY_FILE), KEY_FILE)))
    throw new ConfigError("there is no file root.key: SHIPFOX_ROOT_KEY has the keys, keep them where they come from");
  return sums;
}

function forgetDeleted(partial: string, sums: ReadonlyMap<string, FileSum>, now: number): number {
  using database = new SqliteCopy(join(partial, DATABASE_FILE), "read-write");
  return forgetMissing(database, (path) => sums.get(path)?.bytes ?? null, now);
}

async function writeSynced(path: string, lines: readonly string[]): Promise<void> {
  const file = await open(path, "wx", FILE_MODE);
  try {
    await file.writeFile(lines.join(""));
    await file.sync();
  } finally {
    await file.close();
  }
}
