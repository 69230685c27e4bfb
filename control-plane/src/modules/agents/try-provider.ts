import type {
  AgentTest,
  discoverModelsBodySchema,
  rediscoverModelsBodySchema,
  testAgentBodySchema,
} from "@shipfox/shared/api/agents";
import type { z } from "zod";
import { requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { AgentProviderRow } from "../../store/schema.ts";
import { findBuiltin } from "./catalog.ts";
import { providerNotFound } from "./configure-provider.ts";
import { requireSameAddress } from "./custom-provider.ts";
import type { AgentDeps } from "./deps.ts";
import { type ProviderSecrets, requireCredentials, settingsOf } from "./model.ts";
import { ProbeError, type ProbeTarget } from "./probe.ts";
import type { ModelName } from "./protocol.ts";
import { findProvider } from "./store.ts";
import { builtinTarget, customTarget, openSecrets, requireBuiltin, targetOf, validationFailed } from "./targets.ts";

type TestBody = z.output<typeof testAgentBodySchema>;
type DiscoverBody = z.output<typeof discoverModelsBodySchema>;
type RediscoverBody = z.output<typeof rediscoverModelsBodySchema>;

interface Request {
  readonly caller: Caller;
  readonly workspaceId: string;
}

/**
 * Calls a provider as an agent would and tells how that went; nothing is saved. Throws 404 `not-found` for a provider that
 * is not configured, 422 `provider-unsupported` and `invalid-credential-fields`, 400 `egress-denied`.
 */
export async function testProvider(deps: AgentDeps, request: Request & { body: TestBody }): Promise<AgentTest> {
  const { prober, clock } = deps;
  const { body } = request;
  const row = await begin(deps, request, "provider_id" in body ? body.provider_id : null, "agent_provider.tested");
  const { target, model } = planOf(deps, body, row);
  const startedAt = clock.monotonic();
  const duration = () => Math.max(0, Math.round(clock.monotonic() - startedAt));
  try {
    const models = await prober.test(target, model);
    return { ok: true, model, models, duration_ms: duration() };
  } catch (error) {
    if (!(error instanceof ProbeError)) throw error;
    return { ok: false, model, error: { code: error.code, message: error.message }, duration_ms: duration() };
  }
}

/** The models of an endpoint that is not saved. Throws 422 `provider-validation-failed`, 400 `egress-denied`. */
export async function discoverModels(deps: AgentDeps, request: Request & { body: DiscoverBody }): Promise<ModelName[]> {
  await begin(deps, request, null, "agent_provider.models_listed");
  return listModels(deps, endpointOf(deps, request.body), null);
}

/**
 * The models of a custom provider, with what is given instead of what is stored. Throws 404 `not-found`, 422
 * `provider-validation-failed` and `stored-secret-base-url-changed`, 400 `egress-denied`.
 */
export async function rediscoverModels(
  deps: AgentDeps,
  request: Request & { slug: string; body: RediscoverBody },
): Promise<ModelName[]> {
  const { slug, body } = request;
  const row = await begin(deps, request, slug, "agent_provider.models_listed");
  if (row?.kind !== "custom") throw providerNotFound(slug);
  const settings = settingsOf(row);
  const stored = openSecrets(deps.envelope, row);
  const secrets: ProviderSecrets = {
    credentials: body.api_key === undefined ? stored.credentials : { api_key: body.api_key },
    headers: body.headers === undefined ? stored.headers : {},
  };
  const usesStored =
    (body.api_key === undefined && Object.keys(stored.credentials).length > 0) ||
    Object.keys(secrets.headers).length > 0;
  requireSameAddress(slug, settings, body.base_url, usesStored);
  const asked = {
    api: body.api ?? settings.api,
    base_url: body.base_url ?? settings.base_url,
    headers: body.headers ?? settings.headers,
  };
  return listModels(deps, customTarget(deps, asked, secrets), slug);
}

async function listModels({ prober }: AgentDeps, target: ProbeTarget, providerId: string | null): Promise<ModelName[]> {
  try {
    return await prober.listModels(target);
  } catch (error) {
    throw validationFailed(error, target, providerId);
  }
}

/** Who asks, and what is stored of the provider: before anybody is called, and written down with it. */
function begin(
  { store, access }: AgentDeps,
  { caller, workspaceId }: Request,
  providerId: string | null,
  action: "agent_provider.tested" | "agent_provider.models_listed",
): Promise<AgentProviderRow | undefined> {
  return store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    await tx.audit(caller, { workspaceId, action, target: { type: "agent_provider", id: providerId } });
    return providerId === null ? undefined : findProvider(tx, workspaceId, providerId);
  });
}

function planOf(
  deps: AgentDeps,
  body: TestBody,
  row: AgentProviderRow | undefined,
): { target: ProbeTarget; model: string | null } {
  if (!("provider_id" in body)) return { target: endpointOf(deps, body), model: body.model ?? null };
  const defaultModel = row?.default_model ?? findBuiltin(body.provider_id)?.defaultModel ?? firstModelOf(row);
  const model = body.model ?? defaultModel;
  if (body.credentials !== undefined) {
    const builtin = requireBuiltin(body.provider_id);
    requireCredentials(builtin, body.credentials);
    return { target: builtinTarget(deps, builtin, body.credentials), model };
  }
  if (!row) throw providerNotFound(body.provider_id);
  return { target: targetOf(deps, row), model };
}

function firstModelOf(row: AgentProviderRow | undefined): string | null {
  return row?.kind === "custom" ? (settingsOf(row).models[0]?.id ?? null) : null;
}

function endpointOf(deps: AgentDeps, { api, base_url, api_key, headers = [] }: DiscoverBody): ProbeTarget {
  const secrets: ProviderSecrets = {
    // Nothing of what was given for this one call may come back in a message.
    credentials: api_key === undefined ? {} : { api_key },
    headers: Object.fromEntries(headers.map(({ name, value }) => [name, value])),
  };
  return customTarget(deps, { api, base_url, headers: [] }, secrets);
}
