import { ApiError } from "@shipfox/shared/errors";
import { type Access, requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { readInputs, type WorkflowPlan } from "../workflow/public.ts";
import { type DefinitionStarter, findHead } from "./start-definition.ts";

export interface FireManualDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly starter: DefinitionStarter;
}

export interface FireRequest {
  readonly caller: Caller;
  readonly definitionId: string;
  /** Replace the trigger's own inputs as a whole. */
  readonly inputs: Record<string, unknown> | undefined;
  /** Rather no run than one that waits for a place in the workspace. */
  readonly rejectOverLimit: boolean;
}

/**
 * Starts runs by hand. One transaction a run. Throws 404 `manual-trigger-not-found` also for those who may not see the
 * definition, 422 `not-runnable-yet`.
 */
export function createFireManual(deps: FireManualDeps): (request: FireRequest) => Promise<{ runId: string }> {
  const { store, clock, access, starter } = deps;

  return ({ caller, definitionId, inputs, rejectOverLimit }) => {
    const now = clock.now();
    return store.write(async (tx) => {
      const head = await findHead(tx, definitionId);
      if (!head) throw notFound();
      await requireVisible(access, tx, caller, head.workspace_id, notFound);
      if (head.manual_trigger === null) throw notFound();
      const { userId } = caller;
      const payload = { provider: "manual", source: "manual", event: "fire", subscriptionId: definitionId, userId };
      const started = await starter.start(tx, head, {
        trigger: { provider: "manual", source: "manual", event: "fire", payload },
        inputs: (plan) => requireInputs(plan, inputs),
        overLimit: rejectOverLimit ? "reject" : "wait",
        now,
      });
      await tx.audit(caller, {
        workspaceId: head.workspace_id,
        action: "run.started",
        target: { type: "run", id: started.runId },
      });
      return started;
    });
  };
}

function requireInputs({ manualTrigger }: WorkflowPlan, given: FireRequest["inputs"]): Record<string, unknown> | null {
  if (manualTrigger === null) return given ?? null;
  const read = readInputs(manualTrigger, given);
  if (read.ok) return read.inputs;
  const [first] = read.faults;
  throw new ApiError("validation-error", `${first?.path}: ${first?.message}`, { details: read.faults });
}

function notFound(): ApiError {
  return new ApiError(
    "manual-trigger-not-found",
    "there is no such definition that you may fire, or it has no manual trigger",
  );
}
