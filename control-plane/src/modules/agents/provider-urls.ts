import { ConfigError } from "@shipfox/shared/config";
import { findBuiltin } from "./catalog.ts";

const VARIABLE = "SHIPFOX_AGENT_PROVIDER_URLS";

/** The operator's own addresses of built-in providers, from `id=url` pairs. Throws ConfigError. */
export function parseProviderUrls(pairs: readonly string[]): Map<string, string> {
  const urls = new Map<string, string>();
  for (const pair of pairs) {
    const [, id = "", url = ""] = /^([^=]*)=(.*)$/.exec(pair) ?? [];
    if (!findBuiltin(id)) throw new ConfigError(`${VARIABLE}: "${id || pair}" is no built-in model provider`);
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
      throw new ConfigError(`${VARIABLE}: the address of ${id} must be a URL with http or https`);
    }
    urls.set(id, url);
  }
  return urls;
}
