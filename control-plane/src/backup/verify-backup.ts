import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SqliteCopy } from "../store/sqlite-copy.ts";
import { migrations } from "../store/migrations.ts";
import { filesBelow, sumOfFile } from "./copy-files.ts";
import { missingBlobs, missingLogs } from "./kept-files.ts";
import { DATABASE_FILE, MANIFEST_FILE, type Manifest, readManifest, SUMS_FILE } from "./layout.ts";

const SUM_LINE = /^([0-9a-f]{64}) {2}(.+)$/;
/** More than these are counted only. */
const MAX_FAULTS = 20;

export interface VerifiedBackup {
  readonly manifest: Manifest;
  /** What is wrong with it, in words; empty when it can be restored. */
  readonly faults: readonly string[];
}

/**
 * Reads all of a backup: each file is as it was written and none is too many, the database is sound and known to this
 * version, and has a file for each log, artifact and cache. Throws ConfigError where there is no whole backup.
 */
export async function verifyBackup(backup: string): Promise<VerifiedBackup> {
  const manifest = await readManifest(backup);
  const faults: string[] = [];
  const sizes = new Map<string, number>();
  const sums = await readSums(backup);
  for (const [path, sha256] of sums) {
    const found = await sumOfFile(join(backup, path));
    if (found === null) faults.push(`${path} is missing`);
    else if (found.sha256 !== sha256) faults.push(`${path} is not as it was written`);
    else sizes.set(path, found.bytes);
  }
  for await (const path of filesBelow(backup, "."))
    if (!sums.has(path) && path !== SUMS_FILE && path !== MANIFEST_FILE) faults.push(`${path} is no part of it`);
  if (sums.size !== manifest.files) faults.push(`${SUMS_FILE} names ${sums.size} files instead of ${manifest.files}`);
  if (manifest.database === "sqlite" && sizes.has(DATABASE_FILE))
    faults.push(...faultsOfDatabase(join(backup, DATABASE_FILE), sizes));
  const more = faults.length - MAX_FAULTS;
  return { manifest, faults: more > 0 ? [...faults.slice(0, MAX_FAULTS), `and ${more} more`] : faults };
}

/** The hash of each file, by its path. */
export async function readSums(backup: string): Promise<Map<string, string>> {
  const text = await readFile(join(backup, SUMS_FILE), "utf8").catch(() => "");
  const sums = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, sha256, path] = SUM_LINE.exec(line) ?? [];
    if (sha256 !== undefined && path !== undefined) sums.set(path, sha256);
  }
  return sums;
}

function faultsOfDatabase(path: string, sizes: ReadonlyMap<string, number>): string[] {
  try {
    using database = new SqliteCopy(path, "read-only");
    const faults = database.faults();
    if (faults.length > 0) return faults;
    const [schema] = database.all<{ oldest: number }>(
      "select oldest_binary as oldest from schema_info order by version desc limit 1",
    );
    const known = migrations.at(-1)?.version ?? 0;
    if (schema && schema.oldest > known)
      return [`the database needs a newer release: one that knows schema version ${schema.oldest}, not only ${known}`];
    const bytesOf = (file: string) => sizes.get(file) ?? null;
    return [
      ...missingBlobs(database, bytesOf).map(
        ({ kind, name, id }) => `the file of the ${kind} ${name} (${id}) is missing`,
      ),
      ...missingLogs(database, bytesOf).map(({ step_id: id }) => `the log of the step ${id} is missing`),
    ];
  } catch (error) {
    return [`the database cannot be read: ${(error as Error).message}`];
  }
}
