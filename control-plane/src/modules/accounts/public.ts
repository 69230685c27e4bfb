import type { Tx } from "../../store/store.ts";
import { accountExists } from "./store.ts";

/** What app.ts and main.ts may use of accounts. */
export { Passwords } from "./passwords.ts";
export { allowedAddresses } from "./allowed-addresses.ts";
export { createAccounts } from "./accounts.ts";
export { recoveryLink } from "./recovery-link.ts";
export { setupToken } from "./setup-token.ts";
export { findUser, findUserByEmail, revokeSessionsOf } from "./store.ts";

/** True while no account exists: the first one is still to be made. */
export async function needsSetup(tx: Tx): Promise<boolean> {
  return !(await accountExists(tx));
}
