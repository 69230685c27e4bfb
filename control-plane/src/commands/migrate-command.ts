import { ConfigError } from "@shipfox/shared/config";
import type { Logger } from "@shipfox/shared/logger";
import type { Config } from "../config.ts";
import { openStore } from "../store/open.ts";
import { readSchema } from "../store/read-schema.ts";

/** Options of the command, which are no settings. */
export const MIGRATE_OPTIONS = { status: { type: "boolean" } } as const;

/** Says what the next start would apply. Disturbs no server that runs. Throws ConfigError when it needs a newer release. */
export async function migrationStatus(config: Config): Promise<string> {
  const schema = await readSchema(config);
  if (schema === null) return "There is no database yet; the first start makes it.";
  if (schema.isTooNew)
    throw new ConfigError(`the database has schema version ${schema.version}: install the release that it came from`);
  if (schema.pending.length === 0) return `The schema has version ${schema.version}; nothing is to be applied.`;
  const lines = schema.pending.map(({ version, name }) => `  ${version} ${name}`);
  return `The schema has version ${schema.version}. To be applied:\n${lines.join("\n")}`;
}

/** Brings the schema up to date without serving anything. Throws StoreRefusal, also while a server runs. */
export async function migrateCommand(config: Config, log: Logger): Promise<string> {
  const before = await readSchema(config);
  const store = await openStore({ ...config, onRunEvents: () => {}, onLost: (reason) => log.error(reason), log });
  await store.close();
  const applied = before?.pending.map(({ version, name }) => `${version} ${name}`) ?? ["all, into a new database"];
  return applied.length === 0
    ? "Nothing was to be applied."
    : `Applied:\n${applied.map((each) => `  ${each}`).join("\n")}`;
}
