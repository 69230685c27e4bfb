import type { Waiting } from "@shipfox/shared/api/runs";
import type { JobRow } from "../../store/schema.ts";
import type { Tx } from "../../store/store.ts";
import { placeOfJob, type PlaceInGroup } from "./concurrency-store.ts";
import { type JobModel, type ListeningModel, type MatrixModel, requiredCapabilities } from "../workflow/public.ts";
import { isTerminal } from "./model.ts";
import type { ExplainWaiting } from "./ports.ts";

export interface PendingJob {
  readonly workspaceId: string;
  readonly projectId: string;
  readonly jobId: string;
  readonly model: string;
  /** Null before its turn in the run, and for a job without one. */
  readonly concurrencyGroup: string | null;
  /** JSON of those that a runner must have. */
  readonly labels: string;
  readonly createdAt: number;
  readonly queuedAt: number | null;
  readonly dueAt: number | null;
  /** Keys of the needs that have not ended. */
  readonly openNeeds: readonly string[];
  /** Since when its run waits for a place in the workspace; null when it has one. */
  readonly placeWantedAt: number | null;
  /** Since when it waits for events; null for a job that does not, or for which more than events is missing. */
  readonly listeningSince: number | null;
}

interface Newest {
  readonly status: string;
}

interface ListenerState {
  readonly status: string;
  readonly listening_since: number | null;
}

/** Whether nothing of the job runs that could: it has not started, or it listens, or its next execution has not started. */
export function isWaiting(
  job: { readonly status: string },
  newest: Newest | undefined,
  listener: ListenerState | undefined,
): boolean {
  if (job.status === "pending") return true;
  if (listener === undefined || isTerminal(job.status)) return false;
  return newest?.status === "pending" || listeningSince(newest, listener) !== null;
}

export function listeningSince(newest: Newest | undefined, listener: ListenerState | undefined): number | null {
  const isIdle = newest === undefined || isTerminal(newest.status);
  return listener?.status === "listening" && isIdle ? listener.listening_since : null;
}

type WaitingJob = Pick<JobRow, "needs" | "within">;

/**
 * What a job waits for among `jobs`, which are all of the run attempt; made once for all its jobs. The needs that have not
 * ended, and the call that it is part of while that has not started.
 */
export function openNeedsAmong(
  jobs: readonly Pick<JobRow, "key" | "status" | "matrix">[],
): (job: WaitingJob) => string[] {
  const open = new Set(
    jobs
      .filter(({ status }) => !isTerminal(status))
      .map(({ key, matrix }) => (matrix === null ? key : (JSON.parse(matrix) as MatrixModel).job)),
  );
  const pending = new Set(jobs.filter(({ status }) => status === "pending").map(({ key }) => key));
  return ({ needs, within }) => [
    ...(within !== null && pending.has(within) ? [within] : []),
    ...(JSON.parse(needs) as string[]).filter((need) => open.has(need)),
  ];
}

/** Why a pending job has not started. Decided from what is known of the job; only for a queued one dispatch is asked. */
export async function explainWaiting(tx: Tx, explain: ExplainWaiting, job: PendingJob): Promise<Waiting> {
  const model = JSON.parse(job.model) as JobModel;
  const labels = JSON.parse(job.labels) as string[];
  const base = { labels, runners: { matching: 0, online: 0, busy: 0 } };
  if (job.listeningSince !== null && model.listening) {
    return {
      ...base,
      reason: "listening",
      since: new Date(job.listeningSince).toISOString(),
      message: describeListening(model.listening),
    };
  }
  if (job.queuedAt === null && job.dueAt !== null) {
    const nextTry = new Date(job.dueAt).toISOString();
    return {
      ...base,
      reason: "retry_backoff",
      since: new Date(job.createdAt).toISOString(),
      message: `the last try did not succeed; the next one is queued at ${nextTry}`,
      next_try_at: nextTry,
    };
  }
  if (job.queuedAt === null && job.concurrencyGroup !== null) {
    const place = await placeOfJob(tx, job.jobId);
    return { ...base, ...waitsInGroup(job.concurrencyGroup, place, job.createdAt) };
  }
  if (job.queuedAt === null && job.placeWantedAt !== null && job.openNeeds.length === 0) {
    return {
      ...base,
      reason: "workspace_limit",
      since: new Date(job.placeWantedAt).toISOString(),
      message: "the workspace has as many runs going as it may at once; this one starts when its turn comes",
    };
  }
  if (job.queuedAt === null && job.openNeeds.length === 0 && model.matrix?.maxParallel != null) {
    return {
      ...base,
      reason: "matrix_limit",
      since: new Date(job.createdAt).toISOString(),
      message: `${model.matrix.maxParallel} jobs of the matrix are going, as many as its \`max_parallel\` lets`,
    };
  }
  if (job.queuedAt === null) {
    return {
      ...base,
      reason: "needs",
      since: new Date(job.createdAt).toISOString(),
      message: `waits for ${job.openNeeds.join(", ")}`,
    };
  }
  return explain({
    workspaceId: job.workspaceId,
    projectId: job.projectId,
    labels,
    capabilities: requiredCapabilities(model),
    since: job.queuedAt,
  });
}

/** Triggers that are named; a file may have more. */
const MAX_NAMED = 5;

function describeListening({ on, until }: ListeningModel): string {
  const named = (triggers: ListeningModel["on"]) => {
    const all = [...new Set(triggers.map(({ source, event }) => `${source} ${event}`))];
    const more = all.length > MAX_NAMED ? ` and ${all.length - MAX_NAMED} more` : "";
    return `${all.slice(0, MAX_NAMED).join(", ")}${more}`;
  };
  return `listens for ${named(on)}${until.length === 0 ? "" : `, until ${named(until)}`}`;
}

function waitsInGroup(
  group: string,
  place: PlaceInGroup | undefined,
  createdAt: number,
): Pick<Waiting, "reason" | "since" | "message" | "concurrency"> {
  const { holder = null, holdsItself = false, since = createdAt } = place ?? {};
  const going = holdsItself
    ? "the runner of its last try has not stopped yet"
    : holder
      ? `run ${holder.run_number} of ${holder.workflow_name} (${holder.job_key}) goes`
      : "another one of it has just ended";
  return {
    reason: "concurrency_group",
    since: new Date(since).toISOString(),
    message: `waits for its turn in the concurrency group "${group}": ${going}`,
    concurrency: { group, held_by: holder },
  };
}
