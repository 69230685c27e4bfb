import { existsSync } from "node:fs";
import { mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ConfigError } from "@shipfox/shared/config";
import { syncFolder } from "../disk/durable-files.ts";
import { lockDataDir } from "../store/sqlite-files.ts";
import { repositoryFolders } from "./repository-files.ts";
import { copyFile } from "./copy-files.ts";
import { DATABASE_FILE, DUMP_FILE, KEY_FILE, type Manifest, PARTIAL_SUFFIX } from "./layout.ts";
import { readSums, verifyBackup } from "./verify-backup.ts";

/** In a data folder that is not whole yet: neither a control plane starts on it nor is it taken for somebody's data. */
const MARK = "restoring";
/** What a data folder may have that gets a backup: the key, and what the lock makes. */
const ALLOWED = new Set([KEY_FILE, MARK, "shipfox.lock", "shipfox.lock-journal", "shipfox.pid"]);

export interface RestoreRequest {
  readonly backup: string;
  readonly dataDir: string;
  readonly usesPostgres: boolean;
  /** Ids of the root keys that are there already, in the data folder or in a setting; null when there are none. */
  readonly rootKeyIds: () => readonly string[] | null;
}

/** Throws ConfigError when a restore into this data folder was begun and not finished. */
export function assertNotRestoring(dataDir: string): void {
  if (!existsSync(join(dataDir, MARK))) return;
  throw new ConfigError(
    `a backup is being restored into ${resolve(dataDir)}, or that was interrupted; repeat shipfox-control-plane restore`,
  );
}

/**
 * Puts a backup into an empty data folder, the database last. Interrupted, it is repeated; nothing starts on what it left.
 * Throws ConfigError when the backup is not whole, when its keys are missing, and where the folder has data; nothing is changed then.
 */
export async function restoreBackup(request: RestoreRequest): Promise<Manifest> {
  const { backup, dataDir } = request;
  const { manifest, faults } = await verifyBackup(backup);
  if (faults.length > 0) throw new ConfigError(`the backup ${backup} cannot be restored:\n  ${faults.join("\n  ")}`);
  const paths = [...(await readSums(backup)).keys()];
  assertSameDatabase(manifest, request.usesPostgres);
  const unlock = lockDataDir(dataDir);
  try {
    await assertEmpty(dataDir);
    assertKeys(manifest, request.rootKeyIds(), paths.includes(KEY_FILE));
    await copyAll(request, paths);
  } finally {
    unlock();
  }
  return manifest;
}

function assertSameDatabase({ database }: Manifest, usesPostgres: boolean): void {
  if ((database === "postgresql") === usesPostgres) return;
  const advice = usesPostgres ? "unset SHIPFOX_DATABASE_URL" : "set SHIPFOX_DATABASE_URL";
  throw new ConfigError(`the backup is of a control plane on ${database}; ${advice}, then repeat`);
}

async function assertEmpty(dataDir: string): Promise<void> {
  const names = await readdir(dataDir);
  const other = names.find((name) => !ALLOWED.has(name));
  if (other === undefined || names.includes(MARK)) return;
  throw new ConfigError(
    `${resolve(dataDir)} has data already (${other}); move it away, or choose another with --data-dir`,
  );
}

function assertKeys({ root_key_ids: needed }: Manifest, present: readonly string[] | null, isInBackup: boolean): void {
  if (present === null && isInBackup) return;
  const missing = needed.filter((keyId) => !present?.includes(keyId));
  if (missing.length === 0) return;
  throw new ConfigError(
    `the root key ${missing.join(", ")} is missing, without which secrets cannot be opened; put the file root.key of that time ` +
      "into the data folder, or set SHIPFOX_ROOT_KEY",
  );
}

async function copyAll({ backup, dataDir }: RestoreRequest, paths: readonly string[]): Promise<void> {
  const mark = join(dataDir, MARK);
  await (await open(mark, "w", 0o600)).close();
  await syncFolder(dataDir);
  for (const path of paths) {
    if (path === DATABASE_FILE || path === DUMP_FILE || (path === KEY_FILE && existsSync(join(dataDir, KEY_FILE))))
      continue;
    await copyFile(join(backup, path), join(dataDir, path));
  }
  for (const folder of repositoryFolders(paths)) await mkdir(join(dataDir, folder), { recursive: true, mode: 0o700 });
  if (paths.includes(DATABASE_FILE)) {
    const partial = join(dataDir, `${DATABASE_FILE}${PARTIAL_SUFFIX}`);
    await copyFile(join(backup, DATABASE_FILE), partial);
    await rename(partial, join(dataDir, DATABASE_FILE));
  }
  await syncFolder(dataDir);
  await rm(mark);
  await syncFolder(dataDir);
}
