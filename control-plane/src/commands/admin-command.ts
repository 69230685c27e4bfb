import { email as emailSchema } from "@shipfox/shared/api/values";
import { ConfigError, UsageError } from "@shipfox/shared/config";
import type { Logger } from "@shipfox/shared/logger";
import type { Config } from "../config.ts";
import { listAdmins, promote } from "../modules/operations/public.ts";
import { openStore } from "../store/open.ts";
import { readSchema } from "../store/read-schema.ts";
import type { Store } from "../store/store.ts";

const USAGE = "expected admin list or admin promote EMAIL";

/**
 * What can be done about administrators without one, on the database of a server that is stopped. Throws UsageError, ConfigError
 * and StoreRefusal; nothing is changed then.
 */
export async function adminCommand(config: Config, words: readonly string[], log: Logger): Promise<string> {
  const [verb, email, ...more] = words;
  if (verb === "list" && email === undefined) return withStore(config, log, showAdmins);
  if (verb !== "promote" || more.length > 0) throw new UsageError(USAGE);
  const address = emailSchema.safeParse(email);
  if (!address.success) throw new UsageError("admin promote needs the e-mail address of an account");
  return withStore(config, log, async (store) => {
    const changed = await promote(store, address.data, Date.now());
    return `${address.data} ${changed ? "is now" : "was already"} an owner of the server.`;
  });
}

async function showAdmins(store: Store): Promise<string> {
  const admins = await listAdmins(store);
  if (admins.length === 0) return "There is no administrator; the first account becomes one.";
  return admins.map((user) => `${user.email}  ${user.admin_role}  ${user.status}`).join("\n");
}

/** A database that would be made or migrated by that is left alone. */
async function withStore(config: Config, log: Logger, work: (store: Store) => Promise<string>): Promise<string> {
  const schema = await readSchema(config);
  if (schema === null) throw new ConfigError("there is no database yet: start the server first");
  if (schema.pending.length > 0)
    throw new ConfigError("the database is of an older release: run shipfox-control-plane migrate first");
  const store = await openStore({ ...config, onRunEvents: () => {}, onLost: (reason) => log.error(reason), log });
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}
