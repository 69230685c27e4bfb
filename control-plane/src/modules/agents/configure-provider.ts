import { ApiError } from "@shipfox/shared/errors";
import { requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { AgentProviderRow } from "../../store/schema.ts";
import type { BuiltinProvider } from "./catalog.ts";
import type { AgentDeps } from "./deps.ts";
import { fingerprintsOf, requireCredentials, settingsOf } from "./model.ts";
import { ProbeError, type ProbeTarget } from "./probe.ts";
import { findProvider, saveProvider, setDefault, setDefaultModel } from "./store.ts";
import { builtinTarget, requireBuiltin, sealSecrets, targetOf, validationFailed } from "./targets.ts";

export interface ConfigureRequest {
  readonly caller: Caller;
  readonly workspaceId: string;
  readonly providerId: string;
  readonly credentials: Readonly<Record<string, string>>;
  /** Null: the catalogue's. */
  readonly defaultModel: string | null;
  readonly setAsDefault: boolean;
}

/**
 * Stores a built-in provider's credentials once the provider has answered with them. Throws 422 `provider-unsupported`,
 * `invalid-credential-fields`, `provider-validation-failed` and `invalid-agent-model`, 400 `egress-denied`.
 */
export async function configureProvider(deps: AgentDeps, request: ConfigureRequest): Promise<AgentProviderRow> {
  const { store, clock, access, envelope } = deps;
  const { caller, workspaceId, providerId, credentials, defaultModel } = request;
  // First who asks: a stranger must not make the server call anybody.
  await store.read((tx) => requireAbility(access, tx, caller, workspaceId));
  const builtin = requireBuiltin(providerId);
  requireCredentials(builtin, credentials);
  await requireAnswer(deps, builtin, builtinTarget(deps, builtin, credentials), defaultModel ?? builtin.defaultModel);
  const now = clock.now();
  const identity = { workspace_id: workspaceId, provider_id: providerId };
  const row: AgentProviderRow = {
    ...identity,
    kind: "builtin",
    default_model: defaultModel,
    settings: null,
    secret_header_names: "[]",
    sealed_secrets: sealSecrets(envelope, identity, { credentials, headers: {} }),
    fingerprints: JSON.stringify(fingerprintsOf(credentials)),
    created_at: now,
    updated_at: now,
  };
  return store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    const saved = await saveProvider(tx, row);
    if (request.setAsDefault) await setDefault(tx, workspaceId, "provider_id", providerId);
    await tx.audit(caller, {
      workspaceId,
      action: "agent_provider.configured",
      target: { type: "agent_provider", id: providerId, name: builtin.label },
      details: { default_model: defaultModel, set_as_default: request.setAsDefault },
    });
    return saved;
  });
}

/**
 * Changes the model that a configured provider uses by default; null for the catalogue's. A model that the server does not
 * know is taken when the provider answers with it. Throws 404 `not-found`, 422 `invalid-agent-model` and
 * `provider-validation-failed`, 400 `egress-denied`.
 */
export async function changeDefaultModel(
  deps: AgentDeps,
  request: { caller: Caller; workspaceId: string; providerId: string; model: string | null },
): Promise<AgentProviderRow> {
  const { store, clock, access } = deps;
  const { caller, workspaceId, providerId, model } = request;
  const row = await store.read(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    return findProvider(tx, workspaceId, providerId);
  });
  if (!row) throw providerNotFound(providerId);
  if (model !== null && row.kind === "custom") requireOwnModel(row, model);
  if (model !== null && row.kind === "builtin") {
    await requireAnswer(deps, requireBuiltin(providerId), targetOf(deps, row), model);
  }
  const now = clock.now();
  return store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    const changed = await setDefaultModel(tx, row, model, now);
    if (!changed) throw providerNotFound(providerId);
    await tx.audit(caller, {
      workspaceId,
      action: "agent_provider.default_model_set",
      target: { type: "agent_provider", id: providerId },
      details: { default_model: model },
    });
    return changed;
  });
}

export function providerNotFound(providerId: string): ApiError {
  return new ApiError("not-found", `the workspace has no configured provider ${providerId}`, {
    details: { provider_id: providerId },
  });
}

export function invalidModel(providerId: string, model: string, why: string): ApiError {
  return new ApiError("invalid-agent-model", `the model ${model} cannot be used: ${why}`, {
    details: { harness: null, provider_id: providerId, model },
  });
}

function requireOwnModel(row: AgentProviderRow, model: string): void {
  if (settingsOf(row).models.some(({ id }) => id === model)) return;
  throw invalidModel(row.provider_id, model, "it is none of the provider's models");
}

async function requireAnswer(
  { prober }: AgentDeps,
  builtin: BuiltinProvider,
  target: ProbeTarget,
  model: string,
): Promise<void> {
  try {
    await prober.ask(target, model);
  } catch (error) {
    const isUnknown = error instanceof ProbeError && error.code === "model_unknown";
    if (isUnknown && model !== builtin.defaultModel) throw invalidModel(builtin.id, model, error.message);
    throw validationFailed(error, target, builtin.id);
  }
}
