import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "@shipfox/shared/config";
import { z } from "zod";

/** The files of a backup. What the data folder calls them is here as well, so that both have one name. */
export const MANIFEST_FILE = "manifest.json";
/** As `sha256sum` reads it: a hash, two spaces and a path in the backup, for every other file but the manifest. */
export const SUMS_FILE = "SHA256SUMS";
export const DATABASE_FILE = "shipfox.db";
export const DUMP_FILE = "database.dump";
export const KEY_FILE = "root.key";
export const FOLDERS = ["logs", "blobs"] as const;
/** Git repositories of which there may be no other copy. */
export const REPOSITORIES_FOLDER = "repositories";
/** A backup that is being made, or that was not finished, has this behind its name. */
export const PARTIAL_SUFFIX = ".partial";

const FORMAT = 1;

const manifestSchema = z.object({
  format: z.literal(FORMAT, { error: `this version reads backups of the format ${FORMAT} only` }),
  /** Of the control plane that made it. */
  release: z.string(),
  taken_at: z.iso.datetime(),
  database: z.enum(["sqlite", "postgresql"]),
  /** Ids of the root keys with which something in it may be sealed. */
  root_key_ids: z.array(z.string()),
  files: z.int().min(0),
  bytes: z.int().min(0),
});
export type Manifest = z.infer<typeof manifestSchema>;

export function newManifest(facts: Omit<Manifest, "format">): Manifest {
  return { format: FORMAT, ...facts };
}

/** Throws ConfigError where there is no whole backup. */
export async function readManifest(backup: string): Promise<Manifest> {
  let text: string;
  try {
    text = await readFile(join(backup, MANIFEST_FILE), "utf8");
  } catch (error) {
    const why = (error as Error).message;
    throw new ConfigError(`${backup} is no backup (${why}); name a folder that the command backup made`);
  }
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch (error) {
    const why = error instanceof z.ZodError ? error.issues[0]?.message : (error as Error).message;
    throw new ConfigError(`${join(backup, MANIFEST_FILE)} cannot be understood: ${why}`);
  }
}
