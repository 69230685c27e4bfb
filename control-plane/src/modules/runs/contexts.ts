import type { TriggerReference } from "@shipfox/shared/api/runs";
import { marks } from "../../store/marks.ts";
import type { Tx } from "../../store/store.ts";
import { type JobModel, namesRead, parseValues, type Root, stringifyValues } from "../workflow/public.ts";
import { iso, isoOrNull } from "./present.ts";
import type { ExecutionFacts } from "./store.ts";
import { latestRestart, type StepInContext, stepsInContext } from "./step-contexts.ts";

/** From where an expression looks: a run, or one of its jobs, or an execution of that, or a step of it. */
export interface Viewpoint {
  readonly runId: string;
  readonly runAttemptId: string;
  /** Without a job. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly job?: { readonly id: string; readonly model: JobModel };
  readonly executionId?: string;
  readonly step?: StepView;
  /** Of a call: from within the workflow that it calls, all whose jobs are seen. */
  readonly isInside?: boolean;
}

/** A step that starts, or one that has just ended. */
export type StepView =
  | { readonly at: "dispatch"; readonly position: number; readonly attempt: number }
  | { readonly at: "report"; readonly exitCode: number | null; readonly status: string; readonly outputs: unknown };

/** From where the expressions of an execution look, or, without an `id`, those of its job. */
export function viewpointOf(
  facts: Pick<ExecutionFacts, "run_id" | "run_attempt_id" | "job_id"> & { readonly id?: string },
  model: JobModel,
): Viewpoint {
  return {
    runId: facts.run_id,
    runAttemptId: facts.run_attempt_id,
    job: { id: facts.job_id, model },
    ...(facts.id === undefined ? {} : { executionId: facts.id }),
  };
}

/** The values of all roots that the expressions read, as `Evaluation.context`. Reads only what they name. */
export async function contextOf(tx: Tx, viewpoint: Viewpoint, sources: readonly string[]): Promise<string> {
  const roots = new Set(sources.flatMap((source) => [...namesRead(source).roots]));
  const context: Partial<Record<Root, unknown>> = {};
  if (RUN_ROOTS.some((root) => roots.has(root))) Object.assign(context, await runRoots(tx, viewpoint.runId));
  const { job, executionId, step } = viewpoint;
  context.vars = viewpoint.variables ?? {};
  if (job) {
    context.vars = job.model.variables ?? {};
    context.matrix = job.model.matrix ? parseValues(JSON.stringify(job.model.matrix.values)) : null;
    const key = keyIn(job.model.within, job.model.key);
    context.job = { key, name: job.model.name ?? key };
    const call = viewpoint.isInside ? job.model.key : job.model.within;
    if (call !== undefined && roots.has("inputs")) context.inputs = await inputsOfCall(tx, viewpoint, call);
    if (roots.has("jobs") || roots.has("needs")) Object.assign(context, await needsRoots(tx, viewpoint, job.model));
    if (roots.has("execution") || roots.has("executions"))
      Object.assign(context, await executionRoots(tx, job.id, executionId));
  }
  if (executionId !== undefined && (roots.has("steps") || roots.has("step")))
    Object.assign(context, await stepRoots(tx, executionId, job?.model, step));
  else if (step?.at === "report") context.step = reported(step);
  return stringifyValues(Object.fromEntries([...roots].map((root) => [root, context[root] ?? null])));
}

/** The key of a job as the file has it in which it stands. */
function keyIn(call: string | undefined, key: string): string {
  return call === undefined ? key : key.slice(call.length + 1);
}

const INPUTS = "select inputs from jobs where run_attempt_id = ? and key = ?";

/** What a call gave the workflow that it calls. */
async function inputsOfCall(tx: Tx, { runAttemptId }: Viewpoint, call: string): Promise<unknown> {
  const row = await tx.get<{ inputs: string | null }>(INPUTS, [runAttemptId, call]);
  return row?.inputs == null ? null : parseValues(row.inputs);
}

const RUN_ROOTS: readonly Root[] = ["trigger", "event", "workflow", "run", "inputs"];

interface RunInContext {
  readonly id: string;
  readonly workspace_id: string;
  readonly project_id: string;
  readonly definition_id: string;
  readonly number: number;
  readonly name: string;
  readonly workflow_name: string;
  readonly trigger_source: string;
  readonly trigger_event: string;
  readonly trigger_payload: string;
  readonly trigger_reference: string | null;
  readonly pinned_commit: string | null;
  readonly inputs: string | null;
  readonly created_at: number;
}

const RUN = `select id, workspace_id, project_id, definition_id, number, name, workflow_name, trigger_source, trigger_event,
    trigger_payload, trigger_reference, pinned_commit, inputs, created_at from runs where id = ?`;

/** Sources that bring no event of somebody else. */
const WITHOUT_EVENT: ReadonlySet<string> = new Set(["manual", "cron"]);

async function runRoots(tx: Tx, runId: string): Promise<Partial<Record<Root, unknown>>> {
  const run = await tx.get<RunInContext>(RUN, [runId]);
  if (!run) throw new Error(`the run ${runId} is gone`);
  const reference = JSON.parse(run.trigger_reference ?? "{}") as Partial<TriggerReference>;
  const { data = null } = WITHOUT_EVENT.has(run.trigger_source)
    ? {}
    : (parseValues(run.trigger_payload) as { data?: unknown });
  return {
    trigger: {
      source: run.trigger_source,
      event: run.trigger_event,
      // Only an event of the project's own repository says which commit the run has.
      project: run.pinned_commit === null ? null : { id: run.project_id },
      repository: reference.repository ?? null,
      ref: reference.ref ?? null,
      commit: reference.commit ?? null,
    },
    event: data,
    workflow: { id: run.definition_id, name: run.workflow_name },
    run: {
      id: run.id,
      number: BigInt(run.number),
      name: run.name,
      project_id: run.project_id,
      workspace_id: run.workspace_id,
      created_at: iso(run.created_at),
    },
    inputs: run.inputs === null ? null : parseValues(run.inputs),
  };
}

interface ExecutionInContext {
  readonly id: string;
  readonly job_id: string;
  readonly sequence: number;
  readonly name: string;
  readonly status: string;
  readonly started_at: number | null;
  readonly finished_at: number | null;
  readonly outputs: string | null;
  readonly retry_of: string | null;
  readonly firing: number | null;
}

const EXECUTION_FIELDS = "id, job_id, sequence, name, status, started_at, finished_at, outputs, retry_of, firing";
const EXECUTIONS = `select ${EXECUTION_FIELDS} from job_executions where job_id = ? order by sequence`;
const FAILED_STEP = "select 1 as failed from steps where job_execution_id = ? and status = 'failed' limit 1";

/** Those of a listening job without the ones that a retry has replaced. */
function thatCount(executions: readonly ExecutionInContext[]): ExecutionInContext[] {
  const replaced = new Set(executions.map(({ retry_of }) => retry_of));
  return executions.filter(({ id, firing }) => firing === null || !replaced.has(id));
}

function presentedExecution(execution: ExecutionInContext) {
  return {
    index: BigInt((execution.firing ?? execution.sequence) - 1),
    name: execution.name,
    status: execution.status,
    started_at: isoOrNull(execution.started_at),
    finished_at: isoOrNull(execution.finished_at),
    events: [],
    ...(execution.outputs === null ? {} : { outputs: parseValues(execution.outputs) }),
  };
}

const EVENTS = "select facts, data from listener_events where job_id = ? and firing = ? order by received_at, event_id";

/** What a listening job gave to one of its executions, in the order in which it was received. */
async function eventsOf(tx: Tx, jobId: string, firing: number): Promise<unknown[]> {
  const rows = await tx.all<{ facts: string; data: string }>(EVENTS, [jobId, firing]);
  return rows.map(({ facts, data }) => ({ ...(JSON.parse(facts) as object), data: parseValues(data) }));
}

async function executionRoots(
  tx: Tx,
  jobId: string,
  executionId: string | undefined,
): Promise<Partial<Record<Root, unknown>>> {
  const executions = thatCount(await tx.all<ExecutionInContext>(EXECUTIONS, [jobId]));
  const own = executions.find(({ id }) => id === executionId);
  const roots = { executions: executions.map(presentedExecution) };
  if (!own) return roots;
  const failed = (await tx.get(FAILED_STEP, [own.id])) !== undefined;
  const events = own.firing === null ? [] : await eventsOf(tx, jobId, own.firing);
  return { ...roots, execution: { ...presentedExecution(own), events, failed } };
}

interface JobInContext {
  readonly id: string;
  /** Whose executions it shows: its own, or those of the job that it was carried over from. */
  readonly ran_as: string;
  readonly key: string;
  readonly node: string;
  readonly status: string;
}

/** Of jobs that are needed, which have ended. */
const jobsOf = (needs: number) => `${JOBS} and stage = 'over' and node in (${marks(needs)}) order by position`;
const JOBS = "select id, coalesce(carried_from, id) as ran_as, key, node, status from jobs where run_attempt_id = ?";
const JOBS_OF_CALL = `${JOBS} and within = ? order by position`;

/** The direct needs of a job, in its order, or all jobs of a call; of a matrix all its jobs, which `jobs` shows as one. */
async function needsRoots(
  tx: Tx,
  { runAttemptId, isInside }: Viewpoint,
  { key: ownKey, within, needs: ownNeeds }: JobModel,
): Promise<Partial<Record<Root, unknown>>> {
  if (ownNeeds.length === 0 && !isInside) return { jobs: {}, needs: [] };
  const rows = isInside
    ? await tx.all<JobInContext>(JOBS_OF_CALL, [runAttemptId, ownKey])
    : await tx.all<JobInContext>(jobsOf(ownNeeds.length), [runAttemptId, ...ownNeeds]);
  const inFile = (key: string) => keyIn(isInside ? ownKey : within, key);
  const all = rows.map((row) => ({ ...row, key: inFile(row.key), node: inFile(row.node) }));
  const needs = isInside ? [...new Set(all.map(({ node }) => node))] : ownNeeds.map(inFile);
  const byNeed = Map.groupBy(all, ({ node }) => node);
  const needed = needs.flatMap((need) => byNeed.get(need) ?? []);
  const records = await needsInContext(tx, needed);
  const shown = needs.flatMap((need) => {
    const jobs = (byNeed.get(need) ?? []).flatMap(({ id }) => records.get(id) ?? []);
    const [only] = jobs;
    if (only === undefined) return [];
    return [[need, only.key === need ? only : together(need, jobs)] as const];
  });
  return { jobs: Object.fromEntries(shown), needs: [...records.values()] };
}

interface NeedInContext {
  readonly key: string;
  readonly status: string;
  readonly outputs: unknown;
  readonly executions: readonly unknown[];
}

/** By the ids of the jobs, in their order. */
async function needsInContext(tx: Tx, jobs: readonly JobInContext[]): Promise<Map<string, NeedInContext>> {
  const outputs = await tx.all<{ id: string; outputs: string | null }>(
    `select id, outputs from jobs where id in (${marks(jobs.length)})`,
    jobs.map(({ id }) => id),
  );
  const executions = await tx.all<ExecutionInContext>(
    `select ${EXECUTION_FIELDS} from job_executions where job_id in (${marks(jobs.length)}) order by job_id, sequence`,
    jobs.map((job) => job.ran_as),
  );
  const outputsOf = new Map(outputs.map((row) => [row.id, row.outputs]));
  const executionsOf = Map.groupBy(thatCount(executions), (execution) => execution.job_id);
  return new Map(
    jobs.map(({ id, ran_as, key, status }) => [
      id,
      {
        key,
        status,
        outputs: parseValues(outputsOf.get(id) ?? "{}"),
        executions: (executionsOf.get(ran_as) ?? []).map(presentedExecution),
      },
    ]),
  );
}

/** What the jobs of a matrix have become together: failed when one failed, succeeded when all did. */
function together(key: string, jobs: readonly NeedInContext[]): NeedInContext {
  const statuses = jobs.map(({ status }) => status);
  const status = ["failed", "cancelled", "skipped"].find((each) => statuses.includes(each)) ?? "succeeded";
  return { key, status, outputs: {}, executions: jobs.flatMap(({ executions }) => executions) };
}

async function stepRoots(
  tx: Tx,
  executionId: string,
  model: JobModel | undefined,
  view: StepView | undefined,
): Promise<Partial<Record<Root, unknown>>> {
  const steps = await stepsInContext(tx, executionId);
  const keyed = steps.flatMap((step) => (step.key === null ? [] : [[step.key, recordOf(step)] as const]));
  if (!view) return { steps: Object.fromEntries(keyed) };
  return {
    steps: Object.fromEntries(keyed),
    step: view.at === "report" ? reported(view) : dispatched(steps, model, view),
  };
}

function reported(view: Extract<StepView, { at: "report" }>) {
  return {
    ...(view.exitCode === null ? {} : { exit_code: BigInt(view.exitCode) }),
    status: view.status,
    outputs: view.outputs,
  };
}

function dispatched(
  steps: readonly StepInContext[],
  model: JobModel | undefined,
  { position, attempt }: Extract<StepView, { at: "dispatch" }>,
) {
  const restart = latestRestart(steps, model, position);
  return {
    attempt: BigInt(attempt),
    is_retry: attempt > 1,
    ...(restart === null ? {} : { restart: { from: recordOf(restart.step), feedback: restart.feedback } }),
  };
}

/** A step as later expressions see it; what its newest finished attempt has not is absent. */
function recordOf({ status, attempts }: StepInContext) {
  const newest = attempts.findLast(({ status: state }) => state !== "running");
  return { status, ...newest?.values, attempts: attempts.map((one) => ({ status: one.status, ...one.values })) };
}
