import type { AgentApi, AgentConfig, CustomModel } from "@shipfox/shared/api/agents";
import { ApiError } from "@shipfox/shared/errors";
import { checkOutgoingUrl } from "../../network/outgoing-url.ts";
import type { AgentProviderRow } from "../../store/schema.ts";
import type { BuiltinProvider } from "./catalog.ts";
import { type Endpoint, keyHeaders } from "./protocol.ts";

/** Column `agent_providers.sealed_secrets`, opened. Of a built-in provider all credentials, of a custom one key and secret headers. */
export interface ProviderSecrets {
  readonly credentials: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string>>;
}

/** Column `agent_providers.settings`: what a custom provider is, without its secrets. */
export interface CustomSettings {
  readonly display_name: string;
  readonly api: AgentApi;
  readonly base_url: string;
  readonly headers: readonly { readonly name: string; readonly value: string }[];
  readonly models: readonly CustomModel[];
}

const FINGERPRINT_CHARS = 4;
/** Of a shorter credential four characters would tell too much. */
const MIN_FINGERPRINTED_CHARS = 12;
export const MAX_CREDENTIAL_BYTES = 65_536;

/** The last four characters of each credential, enough to recognise a key and not enough to guess it. */
export function fingerprintsOf(credentials: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(credentials).map(([key, value]) => [
      key,
      value.length >= MIN_FINGERPRINTED_CHARS ? `…${value.slice(-FINGERPRINT_CHARS)}` : "…",
    ]),
  );
}

/** Exactly the keys of the catalogue. Throws 422 `invalid-credential-fields` and 400 `value-too-large`. */
export function requireCredentials(provider: BuiltinProvider, given: Readonly<Record<string, string>>): void {
  const expected = provider.fields.map(({ key }) => key);
  const keys = Object.keys(given);
  if (keys.length !== expected.length || !expected.every((key) => Object.hasOwn(given, key))) {
    const message = `${provider.label} takes exactly these credentials: ${expected.join(", ")}`;
    throw new ApiError("invalid-credential-fields", message, {
      details: { provider_id: provider.id, expected_keys: expected },
    });
  }
  for (const [key, value] of Object.entries(given)) {
    if (Buffer.byteLength(value) > MAX_CREDENTIAL_BYTES) {
      const message = `the credential ${key} has more than ${MAX_CREDENTIAL_BYTES} bytes`;
      throw new ApiError("value-too-large", message, { details: { max_bytes: MAX_CREDENTIAL_BYTES }, status: 400 });
    }
    // A header is one line of Latin letters; whatever else was pasted with a key cannot be sent.
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) {
      throw new ApiError("validation-error", `[body] credentials.${key}: must be one line without special characters`);
    }
  }
}

/** Where a built-in provider is called with these credentials. `override` is the operator's address for it. */
export function builtinEndpoint(
  provider: BuiltinProvider,
  credentials: Readonly<Record<string, string>>,
  override: string | undefined,
): Endpoint {
  const { api, keyHeader } = provider;
  const key = credentials["api_key"] ?? "";
  const headers = keyHeader
    ? { ...keyHeaders(api, null), [keyHeader.name]: keyHeader.scheme === null ? key : `${keyHeader.scheme} ${key}` }
    : keyHeaders(api, key);
  return { api, baseUrl: override ?? filledIn(provider.baseUrl, credentials), headers };
}

/** Only an address that stands at the begin is taken as it is; everything else becomes one segment. */
function filledIn(template: string, credentials: Readonly<Record<string, string>>): string {
  return template.replaceAll(/\{(\w+)\}/g, (_, name: string, at: number) => {
    const value = credentials[name] ?? "";
    return at === 0 ? value.replace(/\/+$/, "") : encodeURIComponent(value);
  });
}

/** Where a custom provider is called. A header that the operator of the provider chose wins over the API's own. */
export function customEndpoint(
  { api, base_url: baseUrl, headers }: Pick<CustomSettings, "api" | "base_url" | "headers">,
  secrets: ProviderSecrets,
): Endpoint {
  const plain = Object.fromEntries(headers.map(({ name, value }) => [name, value]));
  const key = secrets.credentials["api_key"] ?? null;
  return { api, baseUrl, headers: { ...keyHeaders(api, key), ...plain, ...secrets.headers } };
}

/** Throws 400 `egress-denied` for an address that is not called from here, whatever it may answer. */
export function requireEgress(baseUrl: string, allowPrivate: boolean): void {
  const checked = checkOutgoingUrl(baseUrl, allowPrivate);
  if ("url" in checked) return;
  throw egressDenied(checked.reason, hostOf(baseUrl), checked.message, checked.allowable);
}

export function egressDenied(reason: string, target: string, why: string, allowable: boolean): ApiError {
  const advice = allowable ? "; an operator allows it with SHIPFOX_AGENT_ALLOW_PRIVATE=true" : "";
  return new ApiError("egress-denied", `the address is refused because ${why}${advice}`, {
    details: { reason, target },
  });
}

/** What a message may name of an address. */
export function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : "";
}

export function settingsOf(row: AgentProviderRow): CustomSettings {
  return JSON.parse(row.settings ?? "{}") as CustomSettings;
}

export function presentConfig(row: AgentProviderRow): AgentConfig {
  const times = { created_at: iso(row.created_at), updated_at: iso(row.updated_at) };
  const common = {
    provider_id: row.provider_id,
    default_model: row.default_model,
    key_fingerprints: JSON.parse(row.fingerprints) as Record<string, string>,
    ...times,
  };
  if (row.kind === "builtin") return { kind: "builtin", ...common };
  const { display_name, api, base_url, headers, models } = settingsOf(row);
  return {
    kind: "custom",
    ...common,
    display_name,
    api,
    base_url,
    headers: [...headers],
    secret_header_names: JSON.parse(row.secret_header_names) as string[],
    models: [...models],
  };
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
