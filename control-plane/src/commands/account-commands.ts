import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { email as emailSchema } from "@shipfox/shared/api/values";
import { ConfigError } from "@shipfox/shared/config";
import { KEY_FILE } from "../backup/layout.ts";
import type { Config } from "../config.ts";
import { recoveryLink, setupToken } from "../modules/accounts/public.ts";
import { KeyRing } from "../modules/secrets/public.ts";
import { type Peeking, peek } from "../store/peek.ts";

/**
 * The token with which another machine makes the first account. Throws ConfigError where no server keeps its data, and once
 * there is an account; nothing is made then.
 */
export async function setupCommand(config: Config): Promise<string> {
  const accounts = await look(config, (database) => database.all("select 1 as found from instance where id = 1"));
  if (accounts.length > 0)
    throw new ConfigError(
      "there are accounts already, so no setup token is good any more; sign in, or: shipfox-control-plane recover EMAIL",
    );
  return setupToken(presentKey(config));
}

/** A link for a new password. Throws ConfigError as `setupCommand` does, and when no account has the address. */
export async function recoverCommand(
  config: Config,
  { email, publicUrl, now }: { email: string | undefined; publicUrl: string; now: number },
): Promise<string> {
  const address = emailSchema.safeParse(email);
  if (!address.success) throw new ConfigError("recover needs the e-mail address of an account");
  const users = await look(config, (database) =>
    database.all("select 1 as found from users where email = ?", [address.data]),
  );
  if (users.length === 0)
    throw new ConfigError(
      `there is no account of ${address.data}; shipfox-control-plane admin list shows administrators`,
    );
  return recoveryLink({ rootKey: presentKey(config), publicUrl, email: address.data, now });
}

async function look<T>(config: Config, work: (database: Peeking) => Promise<T>): Promise<T> {
  const found = await peek(config, async (database) => ({ value: await work(database) }));
  if (found !== null) return found.value;
  if (config.databaseUrl !== undefined)
    throw new ConfigError("the database of SHIPFOX_DATABASE_URL has no tables yet: start the server first");
  throw new ConfigError(
    `there is no database in ${resolve(config.dataDir)}; name the control plane's folder with --data-dir`,
  );
}

/** The server's own key: one that is made here would sign what that server refuses. */
function presentKey({ dataDir, rootKey: configured }: Config): Buffer {
  if (configured === undefined && !existsSync(join(dataDir, KEY_FILE)))
    throw new ConfigError(
      `there is no root key in ${resolve(dataDir)}; set SHIPFOX_ROOT_KEY as the server has it, or name its folder with --data-dir`,
    );
  return KeyRing.load({ dataDir, configured }).current;
}
