import { SignInLimits, type SignInLimitSettings } from "./sign-in-limits.ts";
import { EmailChallenges } from "./email-challenges.ts";
import { asRootKeys, type RootKeys } from "../../http/root-keys.ts";
import type { Route } from "../../http/route.ts";
import { confirmPassword } from "./confirm-password.ts";
import { isLocalName } from "./local-peer.ts";
import { createOwnAccountRoutes } from "./own-account-routes.ts";
import { createPasswordRoutes } from "./password-routes.ts";
import { recoveryKey } from "./recovery-token.ts";
import { createRefreshCookie } from "./refresh-cookie.ts";
import type { Caller } from "../../http/caller.ts";
import type { AccountsDeps } from "./session.ts";
import { setupToken } from "./setup-token.ts";
import { createSignInRoutes } from "./sign-in-routes.ts";
import type { AccountRoutesDeps } from "./signed-in-reply.ts";

export interface AccountsOptions extends Omit<AccountsDeps, "challenges" | "limits" | "setupToken" | "recoveryKey"> {
  readonly rootKey: Buffer | RootKeys;
  readonly limits: SignInLimitSettings;
}

export interface Accounts {
  readonly routes: Route[];
  /** Throws 401 `invalid-credentials` unless this is the caller's password. */
  readonly confirmPassword: (caller: Caller, password: string) => Promise<void>;
}

export function createAccounts(options: AccountsOptions): Accounts {
  const { rootKey, limits, ...given } = options;
  const { protocol, host } = new URL(given.publicUrl);
  const keys = asRootKeys(rootKey);
  // The operator's commands read the key from its file at each use: what they print is checked against the key of now.
  const currentKey = () => keys.all[0] as Buffer;
  const deps: AccountRoutesDeps = {
    ...given,
    // Administrators change it while the server runs.
    get allowSignup() {
      return options.allowSignup;
    },
    get setupToken() {
      return setupToken(currentKey());
    },
    get recoveryKey() {
      return recoveryKey(currentKey());
    },
    limits: new SignInLimits(given.clock, limits),
    challenges: new EmailChallenges({ ...given, rootKeys: keys }),
    cookie: createRefreshCookie({ secure: protocol === "https:" }),
    isLocalInstance: isLocalName(host),
  };
  return {
    routes: [...createSignInRoutes(deps), ...createPasswordRoutes(deps), ...createOwnAccountRoutes(deps)],
    confirmPassword: async (caller, password) => void (await confirmPassword(deps, caller, password)),
  };
}
