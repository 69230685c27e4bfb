import { ApiError } from "@shipfox/shared/errors";
import type { HarnessId } from "@shipfox/shared/api/agents";
import { requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import { providerNotFound } from "./configure-provider.ts";
import type { AgentDeps } from "./deps.ts";
import { deleteProvider, findProvider, setDefault } from "./store.ts";

interface Request {
  readonly caller: Caller;
  readonly workspaceId: string;
}

/** Null: none. Throws 422 `provider-not-configured`. */
export async function setDefaultProvider(
  { store, access }: AgentDeps,
  { caller, workspaceId, providerId }: Request & { providerId: string | null },
): Promise<void> {
  await store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    if (providerId !== null && !(await findProvider(tx, workspaceId, providerId, store.sql.forUpdate))) {
      const message = `the provider ${providerId} is not configured in this workspace; configure it first`;
      throw new ApiError("provider-not-configured", message, { details: { provider_id: providerId } });
    }
    await setDefault(tx, workspaceId, "provider_id", providerId);
    await tx.audit(caller, {
      workspaceId,
      action: "agent_provider.made_default",
      target: { type: "agent_provider", id: providerId },
    });
  });
}

/** Null: none, which is `pi`. */
export async function setDefaultHarness(
  { store, access }: AgentDeps,
  { caller, workspaceId, harnessId }: Request & { harnessId: HarnessId | null },
): Promise<void> {
  await store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    await setDefault(tx, workspaceId, "harness_id", harnessId);
    const target = { type: "agent_harness", id: harnessId };
    await tx.audit(caller, { workspaceId, action: "agent_harness.made_default", target });
  });
}

/** Throws 404 `not-found`. */
export async function removeProvider(
  { store, access }: AgentDeps,
  { caller, workspaceId, providerId }: Request & { providerId: string },
): Promise<void> {
  await store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    if (!(await deleteProvider(tx, workspaceId, providerId))) throw providerNotFound(providerId);
    const target = { type: "agent_provider", id: providerId };
    await tx.audit(caller, { workspaceId, action: "agent_provider.deleted", target });
  });
}
