import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { ConfigError, UsageError } from "@shipfox/shared/config";
import { DUMP_FILE, KEY_FILE, type Manifest } from "../backup/layout.ts";
import { restoreBackup } from "../backup/restore-backup.ts";
import { takeBackup } from "../backup/take-backup.ts";
import { verifyBackup } from "../backup/verify-backup.ts";
import type { Config } from "../config.ts";
import { KeyRing } from "../modules/secrets/public.ts";

/** Options of the commands, which are no settings. */
export const BACKUP_OPTIONS = { "with-keys": { type: "boolean" }, dump: { type: "string" } } as const;

export interface BackupWords {
  /** The folder of the backup. */
  readonly folder: string | undefined;
  readonly options: Readonly<Record<string, string | boolean>>;
}

/** Each answers what is printed, or throws ConfigError with what to do. */
export async function backupCommand(config: Config, { folder, options }: BackupWords): Promise<string> {
  const target = required(folder, "backup");
  const withKeys = options["with-keys"] === true;
  const { manifest, deletedMeanwhile } = await takeBackup({
    dataDir: config.dataDir,
    target,
    usesPostgres: config.databaseUrl !== undefined,
    dump: options["dump"] as string | undefined,
    withKeys,
    rootKeyIds: () => presentKeyIds(config),
    now: Date.now(),
  });
  const lines = [`${facts(resolve(target), manifest)} is whole.`];
  if (deletedMeanwhile > 0)
    lines.push(`${deletedMeanwhile} logs and files were deleted while it was taken and are not in it.`);
  lines.push(
    withKeys
      ? "It has the root keys: whoever reads it can open all secrets."
      : "It has no root key: keep the file root.key, or what SHIPFOX_ROOT_KEY is, in another safe place.",
    `Next: shipfox-control-plane verify ${target}`,
  );
  return lines.join("\n");
}

export async function verifyCommand(folder: string | undefined): Promise<string> {
  const backup = required(folder, "verify");
  const { manifest, faults } = await verifyBackup(backup);
  if (faults.length > 0) throw new ConfigError(`the backup ${backup} cannot be restored:\n  ${faults.join("\n  ")}`);
  const needs = manifest.root_key_ids.join(", ");
  return `${facts(resolve(backup), manifest)} is whole and can be restored with the root key ${needs}.`;
}

export async function restoreCommand(config: Config, folder: string | undefined): Promise<string> {
  const backup = required(folder, "restore");
  const dataDir = resolve(config.dataDir);
  const manifest = await restoreBackup({
    backup,
    dataDir,
    usesPostgres: config.databaseUrl !== undefined,
    rootKeyIds: () => presentKeyIds(config),
  });
  const next =
    manifest.database === "sqlite"
      ? "Next: start the control plane"
      : `Next, before the control plane is started: pg_restore --clean --if-exists --dbname=… ${join(resolve(backup), DUMP_FILE)}`;
  return `${facts(resolve(backup), manifest)} is restored into ${dataDir}.\n${next}`;
}

function required(folder: string | undefined, command: string): string {
  if (folder !== undefined) return folder;
  throw new UsageError(`${command} needs the folder of the backup: shipfox-control-plane ${command} /backups/monday`);
}

/** Null when there are none; none is made. */
function presentKeyIds({ dataDir, rootKey: configured }: Config): readonly string[] | null {
  if (configured === undefined && !existsSync(join(dataDir, KEY_FILE))) return null;
  return KeyRing.load({ dataDir, configured }).facts.map(({ keyId }) => keyId);
}

function facts(backup: string, { taken_at: takenAt, files, bytes, release }: Manifest): string {
  return `The backup ${backup} of ${takenAt} (release ${release}, ${files} files, ${bytes} bytes)`;
}
