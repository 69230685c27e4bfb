import type { createCustomProviderBodySchema, updateCustomProviderBodySchema } from "@shipfox/shared/api/agents";
import { ApiError } from "@shipfox/shared/errors";
import type { z } from "zod";
import { requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { AgentProviderRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import { isBuiltinId } from "./catalog.ts";
import { invalidModel, providerNotFound } from "./configure-provider.ts";
import type { AgentDeps } from "./deps.ts";
import { type CustomSettings, fingerprintsOf, type ProviderSecrets, settingsOf } from "./model.ts";
import { countCustom, findProvider, insertProvider, saveProvider } from "./store.ts";
import { openSecrets, requirePublicName, sealSecrets } from "./targets.ts";

const MAX_CUSTOM_PROVIDERS = 64;

type CreateBody = z.output<typeof createCustomProviderBodySchema>;
type UpdateBody = z.output<typeof updateCustomProviderBodySchema>;

/** What a custom provider is: its public half and its secrets. */
interface Custom {
  readonly settings: CustomSettings;
  readonly secrets: ProviderSecrets;
  readonly defaultModel: string | null;
}

/**
 * Stores a provider of the workspace's own, without calling it. Throws 400 `egress-denied`, 409 `slug-collision`, 422
 * `invalid-agent-model` and `agent-providers-exhausted`.
 */
export async function createCustomProvider(
  deps: AgentDeps,
  { caller, workspaceId, body }: { caller: Caller; workspaceId: string; body: CreateBody },
): Promise<AgentProviderRow> {
  const { store, clock, access, envelope } = deps;
  await store.read((tx) => requireAbility(access, tx, caller, workspaceId));
  if (isBuiltinId(body.slug)) throw slugCollision(body.slug, "the catalogue has a provider with this id");
  await requirePublicName(deps, body.base_url);
  const headers = body.headers ?? [];
  const custom: Custom = {
    settings: {
      display_name: body.display_name,
      api: body.api,
      base_url: body.base_url,
      headers: headers.filter(({ secret }) => !secret).map(({ name, value }) => ({ name, value })),
      models: body.models,
    },
    secrets: {
      credentials: body.api_key === undefined ? {} : { api_key: body.api_key },
      headers: Object.fromEntries(headers.filter(({ secret }) => secret).map(({ name, value }) => [name, value])),
    },
    defaultModel: body.default_model ?? null,
  };
  requireKnownModel(body.slug, custom);
  const now = clock.now();
  const identity = { workspace_id: workspaceId, provider_id: body.slug };
  const row = { ...identity, ...columnsOf(envelope, identity, custom), created_at: now, updated_at: now };
  return store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    await tx.get(`select id from workspaces where id = ?${store.sql.forUpdate}`, [workspaceId]);
    if ((await countCustom(tx, workspaceId)) >= MAX_CUSTOM_PROVIDERS) {
      const message = `the workspace has ${MAX_CUSTOM_PROVIDERS} custom providers, the most it may have; remove some`;
      throw new ApiError("agent-providers-exhausted", message);
    }
    if (!(await insertProvider(tx, row))) throw slugCollision(body.slug, "the workspace has a provider with this slug");
    await audit(tx, caller, row, "agent_provider.created");
    return row;
  });
}

/**
 * Changes what is given and keeps the rest; the key and the secret headers too, as long as they go to the same address.
 * Throws 404 `not-found`, 422 `invalid-header-keep`, `stored-secret-base-url-changed` and `invalid-agent-model`, 400
 * `egress-denied`.
 */
export async function updateCustomProvider(
  deps: AgentDeps,
  { caller, workspaceId, slug, body }: { caller: Caller; workspaceId: string; slug: string; body: UpdateBody },
): Promise<AgentProviderRow> {
  const { store, clock, access, envelope } = deps;
  await store.read((tx) => requireAbility(access, tx, caller, workspaceId));
  if (body.base_url !== undefined) await requirePublicName(deps, body.base_url);
  const now = clock.now();
  return store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    const before = await findProvider(tx, workspaceId, slug, store.sql.forUpdate);
    if (before?.kind !== "custom") throw providerNotFound(slug);
    const custom = changed(before, openSecrets(envelope, before), body);
    requireKnownModel(slug, custom);
    const row = await saveProvider(tx, { ...before, ...columnsOf(envelope, before, custom), updated_at: now });
    await audit(tx, caller, row, "agent_provider.updated");
    return row;
  });
}

/** The stored secrets were given for one address: whoever changes it must give them again. */
export function requireSameAddress(
  slug: string,
  stored: CustomSettings,
  baseUrl: string | undefined,
  used: boolean,
): void {
  if (baseUrl === undefined || baseUrl === stored.base_url || !used) return;
  const message = "the stored key and secret headers belong to the former address; give them again with the new one";
  throw new ApiError("stored-secret-base-url-changed", message, { details: { provider_id: slug } });
}

function changed(before: AgentProviderRow, stored: ProviderSecrets, body: UpdateBody): Custom {
  const settings = settingsOf(before);
  const { credentials, isKept: keyIsKept } = changedKey(stored, body.api_key);
  const { plain, secret, keeps } = changedHeaders(before.provider_id, settings, stored, body.headers);
  requireSameAddress(before.provider_id, settings, body.base_url, keyIsKept || keeps);
  return {
    settings: {
      display_name: body.display_name ?? settings.display_name,
      api: body.api ?? settings.api,
      base_url: body.base_url ?? settings.base_url,
      headers: plain,
      models: body.models ?? settings.models,
    },
    secrets: { credentials, headers: secret },
    defaultModel: body.default_model === undefined ? before.default_model : body.default_model,
  };
}

function changedKey(stored: ProviderSecrets, given: string | null | undefined) {
  if (given === undefined) return { credentials: stored.credentials, isKept: "api_key" in stored.credentials };
  return { credentials: given === null ? {} : { api_key: given }, isKept: false };
}

function changedHeaders(slug: string, settings: CustomSettings, stored: ProviderSecrets, given: UpdateBody["headers"]) {
  if (given === undefined) {
    return { plain: settings.headers, secret: stored.headers, keeps: Object.keys(stored.headers).length > 0 };
  }
  const plain: { name: string; value: string }[] = [];
  const secret: Record<string, string> = {};
  let keeps = false;
  for (const header of given) {
    if ("keep" in header) {
      if (!Object.hasOwn(stored.headers, header.name)) throw invalidKeep(slug, header.name);
      secret[header.name] = stored.headers[header.name] as string;
      keeps = true;
    } else if (header.secret) secret[header.name] = header.value;
    else plain.push({ name: header.name, value: header.value });
  }
  return { plain, secret, keeps };
}

function columnsOf(
  envelope: AgentDeps["envelope"],
  { workspace_id, provider_id }: Pick<AgentProviderRow, "workspace_id" | "provider_id">,
  { settings, secrets, defaultModel }: Custom,
) {
  return {
    kind: "custom",
    default_model: defaultModel,
    settings: JSON.stringify(settings),
    secret_header_names: JSON.stringify(Object.keys(secrets.headers)),
    sealed_secrets: sealSecrets(envelope, { workspace_id, provider_id }, secrets),
    fingerprints: JSON.stringify(fingerprintsOf(secrets.credentials)),
  };
}

function requireKnownModel(slug: string, { settings, defaultModel }: Custom): void {
  if (defaultModel === null || settings.models.some(({ id }) => id === defaultModel)) return;
  throw invalidModel(slug, defaultModel, "it is none of the provider's models");
}

function slugCollision(slug: string, why: string): ApiError {
  return new ApiError("slug-collision", `${why}; choose another slug`, { details: { provider_id: slug } });
}

function invalidKeep(slug: string, name: string): ApiError {
  return new ApiError("invalid-header-keep", `no secret header ${name} is stored that could be kept; give its value`, {
    details: { provider_id: slug, name },
  });
}

async function audit(
  tx: WriteTx,
  caller: Caller,
  row: AgentProviderRow,
  action: "agent_provider.created" | "agent_provider.updated",
): Promise<void> {
  const { display_name: name, base_url } = settingsOf(row);
  await tx.audit(caller, {
    workspaceId: row.workspace_id,
    action,
    target: { type: "agent_provider", id: row.provider_id, name },
    details: { base_url },
  });
}
