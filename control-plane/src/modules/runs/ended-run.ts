import type { TriggerReference } from "@shipfox/shared/api/runs";
import type { RunRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import { checkedOutCommit } from "./checked-out-commit.ts";

/** Of what is told about a run that ended, as JSON. What jobs published goes first, then the inputs and all jobs. */
const MAX_TOLD_BYTES = 512 * 1024;

/** A run that ended, as those see it who start others then. */
export interface EndedRun {
  readonly workspaceId: string;
  /** The repository of its project. */
  readonly repository: { readonly connectionId: string; readonly id: string };
  readonly status: string;
  readonly attempt: number;
  readonly untrusted: boolean;
  /** What it ran: the commit is of its project's repository. Null when it checked out nothing. */
  readonly reference: TriggerReference | null;
  /** What workflows read as `event`; at most 512 KiB as JSON. */
  readonly payload: EndedRunPayload;
}

interface EndedRunPayload extends ReturnType<typeof tell> {
  readonly inputs: unknown;
  readonly jobs: unknown;
}

type Row = RunRow & {
  readonly attempt_id: string;
  readonly config_path: string | null;
  readonly connection_id: string;
  readonly external_repository_id: string;
  readonly default_branch: string;
};

const RUN = `select r.*, a.id as attempt_id, d.config_path, p.connection_id, p.external_repository_id, p.default_branch
  from runs r join run_attempts a on a.run_id = r.id and a.attempt = r.current_attempt
  join definitions d on d.id = r.definition_id join projects p on p.id = r.project_id where r.id = ?`;
const JOBS = "select key, status, outputs from jobs where run_attempt_id = ? order by position";

type EndedJob = { readonly key: string; readonly status: string; readonly outputs: string | null };

export async function findEndedRun(tx: Tx, runId: string): Promise<EndedRun | undefined> {
  const run = await tx.get<Row>(RUN, [runId]);
  if (!run) return undefined;
  const reference = await referenceOf(tx, run);
  const jobs = await tx.all<EndedJob>(JOBS, [run.attempt_id]);
  return {
    workspaceId: run.workspace_id,
    repository: { connectionId: run.connection_id, id: run.external_repository_id },
    status: run.status,
    attempt: run.current_attempt,
    untrusted: run.untrusted === 1,
    reference,
    payload: bounded(tell(run, reference), run, jobs),
  };
}

/** A run that no commit started ran the newest of the default branch, once a job had checked it out. */
async function referenceOf(tx: Tx, run: Row): Promise<TriggerReference | null> {
  const commit = await checkedOutCommit(tx, run.attempt_id);
  if (commit === null) return null;
  const started = run.trigger_reference === null ? null : (JSON.parse(run.trigger_reference) as TriggerReference);
  if (started !== null && run.pinned_commit === commit) return started;
  return { repository: null, ref: run.ref ?? `refs/heads/${run.default_branch}`, commit, actor: null };
}

function tell(run: Row, reference: TriggerReference | null) {
  return {
    run: {
      id: run.id,
      number: run.number,
      name: run.name,
      attempt: run.current_attempt,
      status: run.status,
      project_id: run.project_id,
      created_at: new Date(run.created_at).toISOString(),
    },
    workflow: { id: run.definition_id, name: run.workflow_name, path: run.config_path },
    trigger: {
      source: run.trigger_source,
      event: run.trigger_event,
      repository: reference?.repository ?? null,
      ref: reference?.ref ?? null,
      commit: reference?.commit ?? null,
    },
    depth: run.trigger_depth,
  };
}

function bounded(facts: ReturnType<typeof tell>, run: Row, jobs: readonly EndedJob[]): EndedRunPayload {
  const statuses = jobs.map(({ key, status }) => [key, { status, outputs: null }] as const);
  const withOutputs = jobs.map(({ key, status, outputs }) => [key, { status, outputs: parsed(outputs) }] as const);
  const inputs = parsed(run.inputs);
  const fits = [
    { ...facts, inputs, jobs: Object.fromEntries(withOutputs) },
    { ...facts, inputs, jobs: Object.fromEntries(statuses) },
  ].find((told) => Buffer.byteLength(JSON.stringify(told)) <= MAX_TOLD_BYTES);
  return fits ?? { ...facts, inputs: null, jobs: null };
}

function parsed(text: string | null): unknown {
  return text === null ? null : JSON.parse(text);
}
