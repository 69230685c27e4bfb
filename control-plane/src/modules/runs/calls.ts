import type { WriteTx } from "../../store/store.ts";
import { type CallModel, inputFault, type JobModel, stringifyValues, type Template } from "../workflow/public.ts";
import { type Viewpoint, viewpointOf } from "./contexts.ts";
import { evaluateOutputs, outputValue, publishOutputs } from "./job-results.ts";
import { decideFinish } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import { finishJob, loadModel } from "./store.ts";
import { record } from "./record-event.ts";

type Evaluating = Pick<RunsDeps, "evaluator">;
type Inputs = { readonly ok: true; readonly inputs: string } | { readonly ok: false; readonly message: string };

/** What a call gives its workflow, as `stringifyValues` writes it, with the defaults of what it leaves out. */
export async function fillInputs(
  tx: WriteTx,
  deps: Evaluating,
  viewpoint: Viewpoint,
  call: CallModel,
): Promise<Inputs> {
  const templates = Object.values(call.with).filter((given): given is Template => Array.isArray(given));
  const evaluated = await evaluateOutputs(tx, deps, viewpoint, templates);
  const inputs: Record<string, unknown> = {};
  for (const [name, declaration] of Object.entries(call.inputs ?? {})) {
    const given = Object.hasOwn(call.with, name) ? call.with[name] : declaration.default;
    const value = Array.isArray(given) ? outputValue(given, evaluated) : { ok: true as const, value: given };
    if (!value.ok) return refused(name, `has no value: ${value.message}`);
    // Whole numbers of expressions are of a type of their own.
    const fault = inputFault(declaration, typeof value.value === "bigint" ? Number(value.value) : value.value);
    if (fault !== null) return refused(name, fault);
    if (value.value !== undefined) inputs[name] = value.value;
  }
  return { ok: true, inputs: stringifyValues(inputs) };
}

function refused(name: string, why: string): Inputs {
  return { ok: false, message: `the input \`${name}\` of the called workflow ${why}` };
}

const OPEN_CALL = "update jobs set status = 'running', inputs = ?, updated_at = ? where id = ?";
const OPEN_INNER = `update jobs set open_needs = open_needs - 1,
    stage = case when open_needs = 1 and stage = 'blocked' then 'ready' else stage end
  where run_attempt_id = ? and within = ?`;

/** A call has started, and with it the workflow that it calls. */
export async function openCall(
  tx: WriteTx,
  call: { job_id: string; run_attempt_id: string },
  key: string,
  inputs: string,
  now: number,
): Promise<void> {
  await tx.run(OPEN_CALL, [inputs, now, call.job_id]);
  await tx.run(OPEN_INNER, [call.run_attempt_id, key]);
}

const CALL = "select id from jobs where run_attempt_id = ? and key = ? and stage = 'going'";
const SOME_OPEN = "select 1 as found from jobs where run_attempt_id = ? and within = ? and stage <> 'over' limit 1";
const WORST = `select status from jobs where run_attempt_id = ? and within = ? and status in ('failed', 'cancelled')
  order by case status when 'failed' then 0 else 1 end limit 1`;

/** As a call ends that publishes nothing. */
const NOTHING = { end: { kind: "succeeded" }, outputs: null, message: null } as const;
const WHY = { succeeded: null, failed: "call_failed", cancelled: "replaced" } as const;

interface RunOfCall {
  readonly workspace_id: string;
  readonly project_id: string;
  readonly run_id: string;
  readonly run_attempt_id: string;
}

/** Ends a call that has started and whose jobs have all ended. Answers its id, in a list; an empty one when it goes on. */
export async function closeCall(
  tx: WriteTx,
  deps: Evaluating,
  run: RunOfCall,
  key: string,
  now: number,
): Promise<string[]> {
  const { run_attempt_id: attemptId } = run;
  const open = (await tx.get(SOME_OPEN, [attemptId, key])) !== undefined;
  const worst = open ? undefined : (await tx.get<{ status: string }>(WORST, [attemptId, key]))?.status;
  const finish = decideFinish({ open, failed: worst === "failed", cancelled: worst === "cancelled" });
  if (finish === null) return [];
  const call = await tx.get<{ id: string }>(CALL, [attemptId, key]);
  if (!call) return [];
  const model = JSON.parse(await loadModel(tx, call.id)) as JobModel;
  const facts = { ...run, job_id: call.id };
  const inside = { ...viewpointOf(facts, model), isInside: true };
  const published = finish === "succeeded" ? await publishOutputs(tx, deps, inside, model, { kind: finish }) : NOTHING;
  const { end, outputs, message } = published;
  const status = end.kind === "failed" ? "failed" : finish;
  const reason = end.kind === "failed" ? end.reason : WHY[finish];
  await finishJob(tx, call.id, { status, reason, message, outputs }, now);
  record(tx, facts, "job.finished", { key, sequence: 0, status, reason }, now);
  return [call.id];
}
