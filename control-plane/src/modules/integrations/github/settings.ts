import { createPrivateKey, createSecretKey, type KeyObject } from "node:crypto";
import { ConfigError } from "@shipfox/shared/config";
import { SETTINGS, type Config } from "../../../config.ts";
import { DerivedKeys } from "../../../http/derived-keys.ts";
import type { RootKeys } from "../../../http/root-keys.ts";

/** A GitHub Enterprise Server has its API below this path, and the pages of apps at another one than github.com. */
const ENTERPRISE_SERVER_API = "/api/v3";
const STATE_PURPOSE = "shipfox/github-install-state/v1";

/** The operator's GitHub App. Keys are KeyObjects, so that no log line can print them. */
export interface GitHubSettings {
  readonly appId: string;
  readonly privateKey: KeyObject;
  /** The one that counts, and the one before it while it is replaced. */
  readonly webhookSecrets: readonly KeyObject[];
  readonly clientId: string;
  readonly clientSecret: string;
  /** Without a slash at the end, as `webUrl`. */
  readonly apiUrl: string;
  readonly webUrl: string;
  /** The first one signs; what the others signed is still good. Read at each use: a rotation of the root key changes them. */
  readonly stateKeys: readonly KeyObject[];
  /** The app's page, where it is installed. */
  readonly appUrl: string;
}

const REQUIRED = [
  "githubAppId",
  "githubAppSlug",
  "githubPrivateKey",
  "githubWebhookSecret",
  "githubClientId",
  "githubClientSecret",
] as const satisfies readonly (keyof Config)[];

/** Null when no GitHub App is configured. Throws ConfigError for one that is configured in part, or with a key that is none. */
export function githubSettings(config: Config, rootKeys: Buffer | RootKeys): GitHubSettings | null {
  const missing = REQUIRED.filter((key) => config[key] === undefined);
  if (missing.length === REQUIRED.length) return null;
  if (missing.length > 0) {
    const names = missing.map((key) => SETTINGS[key].variable).join(", ");
    throw new ConfigError(`The GitHub App is configured in part. Set ${names} as well, or none of them.`);
  }
  const given = config as Config & Record<(typeof REQUIRED)[number], string>;
  const stateSecret = config.githubInstallStateSecret;
  const derived = new DerivedKeys(rootKeys, STATE_PURPOSE);
  const previous = config.githubPreviousWebhookSecret;
  const apiUrl = config.githubApiUrl.replace(/\/+$/, "");
  const webUrl = config.githubWebUrl.replace(/\/+$/, "");
  return {
    appId: given.githubAppId,
    privateKey: readKey(given.githubPrivateKey),
    webhookSecrets: [given.githubWebhookSecret, ...(previous === undefined ? [] : [previous])].map((secret) =>
      createSecretKey(secret, "utf8"),
    ),
    clientId: given.githubClientId,
    clientSecret: given.githubClientSecret,
    apiUrl,
    webUrl,
    appUrl: `${webUrl}/${apiUrl.endsWith(ENTERPRISE_SERVER_API) ? "github-apps" : "apps"}/${given.githubAppSlug}`,
    get stateKeys() {
      return stateSecret === undefined ? derived.forTokens : [createSecretKey(stateSecret, "utf8")];
    },
  };
}

/** An environment variable often holds the lines of a PEM file as one, with `\n` between them. */
function readKey(pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem.replaceAll("\\n", "\n"));
    if (key.asymmetricKeyType === "rsa") return key;
  } catch {
    // The parser's words could quote the key.
  }
  const { variable } = SETTINGS.githubPrivateKey;
  throw new ConfigError(`${variable} is no RSA private key; give the PEM file that GitHub made, or ${variable}_FILE`);
}
