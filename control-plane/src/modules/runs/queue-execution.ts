import { canonicalLabels, isLabel, MAX_LABEL_LENGTH } from "@shipfox/shared/labels";
import type { WriteTx } from "../../store/store.ts";
import { type JobModel, literalTextOf, requiredCapabilities } from "../workflow/public.ts";
import { viewpointOf } from "./contexts.ts";
import { fill } from "./evaluate.ts";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import { type ExecutionFacts, markQueued } from "./store.ts";

/** Puts an execution into the queue: a runner may take it. */
export function enqueue(
  tx: WriteTx,
  deps: Pick<RunsDeps, "dispatch">,
  facts: { id: string; workspace_id: string; project_id: string },
  model: JobModel,
  avoidedSessionId: string | null,
  now: number,
): Promise<void> {
  return deps.dispatch.enqueue(tx, {
    executionId: facts.id,
    workspaceId: facts.workspace_id,
    projectId: facts.project_id,
    labels: model.runner,
    capabilities: requiredCapabilities(model),
    priority: model.priority ?? 0,
    avoidedSessionId,
    now,
  });
}

type QueuedExecution = Pick<
  ExecutionFacts,
  "id" | "workspace_id" | "project_id" | "run_id" | "job_id" | "job_key" | "sequence"
>;

/** Puts an execution that has waited into the queue. The time limit of a job's first one begins here. */
export async function queueExecution(
  tx: WriteTx,
  deps: Pick<RunsDeps, "dispatch">,
  facts: QueuedExecution,
  model: JobModel,
  now: number,
): Promise<void> {
  const dueAt = facts.sequence === 1 ? now + model.executionTimeoutMs : null;
  await markQueued(tx, facts.id, dueAt, now);
  if (dueAt !== null) deps.dispatch.dueAt(tx, dueAt);
  record(tx, facts, "job.queued", { key: facts.job_key, sequence: facts.sequence }, now);
  await enqueue(tx, deps, facts, model, null, now);
}

/** The model with the labels that it computes, or why they cannot be computed, in words. */
export async function fillLabels(
  tx: WriteTx,
  deps: Pick<RunsDeps, "evaluator">,
  facts: Pick<ExecutionFacts, "id" | "run_id" | "run_attempt_id" | "job_id">,
  { runnerTemplates, ...model }: JobModel,
): Promise<{ ok: true; model: JobModel } | { ok: false; message: string }> {
  if (!runnerTemplates) return { ok: true, model };
  const filled = await fill(tx, deps, viewpointOf(facts, model), Object.fromEntries(runnerTemplates.entries()));
  if (!filled.ok)
    return { ok: false, message: `\`\${{ ${filled.source} }}\` in \`runner\` has no value: ${filled.message}` };
  const computed = Object.values(filled.templates).map((template) => literalTextOf(template).trim().toLowerCase());
  const wrong = computed.find((label) => !isLabel(label));
  if (wrong !== undefined)
    return { ok: false, message: `"${wrong.slice(0, MAX_LABEL_LENGTH)}", which \`runner\` computes, is not a label` };
  return { ok: true, model: { ...model, runner: canonicalLabels([...model.runner, ...computed]) } };
}
