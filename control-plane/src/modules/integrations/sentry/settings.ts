import { createSecretKey, type KeyObject } from "node:crypto";
import { ConfigError } from "@shipfox/shared/config";
import { type Config, SETTINGS } from "../../../config.ts";

/** The operator's Sentry integration. */
export interface SentrySettings {
  readonly appSlug: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** The same secret, with which Sentry signs what it sends. */
  readonly signingKey: KeyObject;
  /** Without a slash at the end. */
  readonly url: string;
}

const REQUIRED = ["sentryAppSlug", "sentryClientId", "sentryClientSecret"] as const satisfies readonly (keyof Config)[];

/** Null when no Sentry integration is configured. Throws ConfigError for one that is configured in part. */
export function sentrySettings(config: Config): SentrySettings | null {
  const missing = REQUIRED.filter((key) => config[key] === undefined);
  if (missing.length === REQUIRED.length) return null;
  if (missing.length > 0) {
    const names = missing.map((key) => SETTINGS[key].variable).join(", ");
    throw new ConfigError(`The Sentry integration is configured in part. Set ${names} as well, or none of them.`);
  }
  const given = config as Config & Record<(typeof REQUIRED)[number], string>;
  return {
    appSlug: given.sentryAppSlug,
    clientId: given.sentryClientId,
    clientSecret: given.sentryClientSecret,
    signingKey: createSecretKey(given.sentryClientSecret, "utf8"),
    url: config.sentryUrl.replace(/\/+$/, ""),
  };
}
