import { ApiError } from "@shipfox/shared/errors";
import { type Access, requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import { Lru } from "../../store/lru.ts";
import type { DefinitionRow } from "../../store/schema.ts";
import type { Store, Tx } from "../../store/store.ts";
import { asRunnable, readInputs, type WorkflowModel, type WorkflowPlan } from "../workflow/public.ts";
import type { StartRunPort } from "./ports.ts";

const MAX_CACHED = 256;
/** Larger ones are read each time, so that the cache has a size. */
const MAX_CACHED_CHARS = 256 * 1024;

const HEAD =
  "select workspace_id, project_id, manual_trigger, updated_at from definitions where id = ? and deleted_at is null";
const CONTENT = "select yaml, model from definitions where id = ?";

interface Content {
  readonly updatedAt: number;
  readonly yaml: string;
  readonly model: WorkflowPlan;
}

export interface FireManualDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly startRun: StartRunPort;
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
 * Starts runs by hand. One transaction a run; the model of a definition is read and parsed once per version of it.
 * Throws 404 `manual-trigger-not-found` also for those who may not see the definition, 422 `not-runnable-yet`.
 */
export function createFireManual(deps: FireManualDeps): (request: FireRequest) => Promise<{ runId: string }> {
  const { store, clock, access, startRun } = deps;
  const cache = new Lru<string, Content>(MAX_CACHED);

  return ({ caller, definitionId, inputs, rejectOverLimit }) => {
    const now = clock.now();
    return store.write(async (tx) => {
      const head = await tx.get<Pick<DefinitionRow, "workspace_id" | "project_id" | "manual_trigger" | "updated_at">>(
        HEAD,
        [definitionId],
      );
      if (!head) throw notFound();
      await requireVisible(access, tx, caller, head.workspace_id, notFound);
      if (head.manual_trigger === null) throw notFound();
      const known = cache.get(definitionId);
      const content =
        known?.updatedAt === head.updated_at ? known : await readContent(tx, definitionId, head.updated_at);
      // Only what was committed may stay: within this unit we may see a version that a failing commit takes back.
      if (content !== known && content.yaml.length <= MAX_CACHED_CHARS) {
        tx.afterCommit(() => void cache.set(definitionId, content));
      }
      const { userId } = caller;
      const payload = { provider: "manual", source: "manual", event: "fire", subscriptionId: definitionId, userId };
      const started = await startRun(tx, {
        workspaceId: head.workspace_id,
        projectId: head.project_id,
        definitionId,
        model: requireRunnable(content.model),
        workflowYaml: content.yaml,
        trigger: { provider: "manual", source: "manual", event: "fire", payload },
        inputs: requireInputs(content.model, inputs),
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

async function readContent(tx: Tx, definitionId: string, updatedAt: number): Promise<Content> {
  const row = await tx.get<{ yaml: string; model: string }>(CONTENT, [definitionId]);
  if (!row) throw notFound();
  return { updatedAt, yaml: row.yaml, model: JSON.parse(row.model) as WorkflowPlan };
}

function requireRunnable(plan: WorkflowPlan): WorkflowModel {
  const model = asRunnable(plan);
  if (model) return model;
  const [first, ...more] = plan.notRunnable ?? [];
  const others = more.length === 0 ? "" : `, and ${more.length} more`;
  const place = first === undefined ? "" : `: line ${first.line}, ${first.path} (${first.message})${others}`;
  const message = `the workflow uses parts of the language that this version does not run yet${place}`;
  throw new ApiError("not-runnable-yet", message, { details: plan.notRunnable });
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
