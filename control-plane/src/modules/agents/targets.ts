import { ApiError } from "@shipfox/shared/errors";
import { isPublicAddress } from "../../network/public-address.ts";
import type { AgentProviderRow } from "../../store/schema.ts";
import type { Envelope, SealedColumn } from "../secrets/public.ts";
import { type BuiltinProvider, findBuiltin } from "./catalog.ts";
import type { AgentDeps } from "./deps.ts";
import {
  builtinEndpoint,
  type CustomSettings,
  customEndpoint,
  egressDenied,
  hostOf,
  type ProviderSecrets,
  requireEgress,
  settingsOf,
} from "./model.ts";
import { ProbeError, type ProbeTarget } from "./probe.ts";

type Identity = Pick<AgentProviderRow, "workspace_id" | "provider_id">;

export function sealSecrets(envelope: Envelope, identity: Identity, secrets: ProviderSecrets): string {
  return envelope.seal(JSON.stringify(secrets), sealContext(identity));
}

export function openSecrets(
  envelope: Envelope,
  row: Identity & Pick<AgentProviderRow, "sealed_secrets">,
): ProviderSecrets {
  return JSON.parse(envelope.open(row.sealed_secrets, sealContext(row))) as ProviderSecrets;
}

/** What a provider's secrets are bound to when they are sealed. */
function sealContext({ workspace_id, provider_id }: Identity) {
  return { workspaceId: workspace_id, name: `agent-provider/${provider_id}` };
}

export const sealedProviderSecrets: SealedColumn = {
  table: "agent_providers",
  key: ["workspace_id", "provider_id"],
  column: "sealed_secrets",
  context: ({ workspace_id = "", provider_id = "" }) => sealContext({ workspace_id, provider_id }),
};

/** Throws 422 `provider-unsupported`. */
export function requireBuiltin(providerId: string): BuiltinProvider {
  const builtin = findBuiltin(providerId);
  if (builtin) return builtin;
  const message = `${providerId} is no provider that can be configured here; the catalogue lists those that can`;
  throw new ApiError("provider-unsupported", message, { details: { provider_id: providerId } });
}

/** Throws 400 `egress-denied`. */
export function builtinTarget(
  { settings }: Pick<AgentDeps, "settings">,
  provider: BuiltinProvider,
  credentials: Readonly<Record<string, string>>,
): ProbeTarget {
  const override = settings.providerUrls.get(provider.id);
  const allowPrivate = settings.allowPrivate || override !== undefined;
  const endpoint = builtinEndpoint(provider, credentials, override);
  requireEgress(endpoint.baseUrl, allowPrivate);
  return { ...endpoint, allowPrivate, secrets: Object.values(credentials) };
}

/** Throws 400 `egress-denied`. */
export function customTarget(
  { settings: { allowPrivate } }: Pick<AgentDeps, "settings">,
  settings: Pick<CustomSettings, "api" | "base_url" | "headers">,
  secrets: ProviderSecrets,
): ProbeTarget {
  requireEgress(settings.base_url, allowPrivate);
  const hidden = [...Object.values(secrets.credentials), ...Object.values(secrets.headers)];
  return { ...customEndpoint(settings, secrets), allowPrivate, secrets: hidden };
}

/** Of a provider that is configured. Throws 400 `egress-denied`. */
export function targetOf(deps: Pick<AgentDeps, "settings" | "envelope">, row: AgentProviderRow): ProbeTarget {
  const secrets = openSecrets(deps.envelope, row);
  if (row.kind === "custom") return customTarget(deps, settingsOf(row), secrets);
  return builtinTarget(deps, requireBuiltin(row.provider_id), secrets.credentials);
}

/**
 * An address that is to be stored: also its name must lead to the public internet. A name that is not known yet may be
 * stored; whenever it is called it is looked at again. Throws 400 `egress-denied`.
 */
export async function requirePublicName(
  { resolve, settings: { allowPrivate } }: Pick<AgentDeps, "resolve" | "settings">,
  baseUrl: string,
): Promise<void> {
  requireEgress(baseUrl, allowPrivate);
  if (allowPrivate) return;
  const host = new URL(baseUrl).hostname.replace(/^\[(.*)\]$/, "$1");
  const addresses = await resolve(host).catch(() => []);
  if (addresses.every(({ address }) => isPublicAddress(address))) return;
  throw egressDenied("private", hostOf(baseUrl), `${host} is not on the public internet`, true);
}

/** What a failed call means for a route that needed it to succeed. */
export function validationFailed(error: unknown, target: ProbeTarget, providerId: string | null): ApiError {
  if (!(error instanceof ProbeError)) throw error;
  if (error.code === "address_refused") return egressDenied("private", hostOf(target.baseUrl), error.message, true);
  return new ApiError("provider-validation-failed", error.message, {
    details: { provider_id: providerId, message: error.message },
  });
}
