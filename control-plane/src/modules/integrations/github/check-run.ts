import type { JobStatus } from "@shipfox/shared/api/runs";

/** A job as far as its check run shows it. Times are milliseconds. */
export interface CheckedJob {
  readonly jobId: string;
  readonly runId: string;
  readonly runNumber: number;
  readonly workflow: string;
  readonly name: string;
  readonly status: JobStatus;
  readonly reason: string | null;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}

/** The body of GitHub's check run. Source: GitHub's REST API, checks. */
export interface CheckRunBody {
  readonly name: string;
  readonly external_id: string;
  readonly details_url: string;
  readonly status: "queued" | "in_progress" | "completed";
  readonly conclusion?: Conclusion;
  readonly started_at?: string;
  readonly completed_at?: string;
  readonly output: { readonly title: string; readonly summary: string };
}

type Conclusion = "success" | "failure" | "cancelled" | "skipped" | "timed_out";

const CONCLUSIONS: Partial<Record<JobStatus, Conclusion>> = {
  succeeded: "success",
  failed: "failure",
  cancelled: "cancelled",
  skipped: "skipped",
};
const TITLES: Record<JobStatus, string> = {
  pending: "Queued",
  running: "Running",
  succeeded: "Succeeded",
  failed: "Failed",
  cancelled: "Cancelled",
  skipped: "Skipped",
};
const MAX_NAME_CHARS = 200;
const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;

export function describeCheckRun(job: CheckedJob, publicUrl: string): CheckRunBody {
  const conclusion = conclusionOf(job);
  const url = `${publicUrl}/app/runs/${job.runId}`;
  const status = conclusion ? "completed" : job.status === "running" ? "in_progress" : "queued";
  const words = job.reason === null ? "" : ` (${job.reason.replaceAll("_", " ")})`;
  return {
    name: `${job.workflow} / ${job.name}`.slice(0, MAX_NAME_CHARS),
    external_id: job.jobId,
    details_url: url,
    status,
    ...(conclusion ? { conclusion } : {}),
    ...(job.startedAt === null ? {} : { started_at: new Date(job.startedAt).toISOString() }),
    ...(conclusion && job.finishedAt !== null ? { completed_at: new Date(job.finishedAt).toISOString() } : {}),
    output: { title: `${TITLES[job.status]}${durationOf(job)}${words}`, summary: `[Run ${job.runNumber}](${url})` },
  };
}

/** What must differ for a check run to be sent again. */
export function stateOf({ status, conclusion }: CheckRunBody): string {
  return conclusion === undefined ? status : `${status}:${conclusion}`;
}

function conclusionOf({ status, reason }: CheckedJob): Conclusion | undefined {
  return status === "failed" && reason === "timed_out" ? "timed_out" : CONCLUSIONS[status];
}

function durationOf({ startedAt, finishedAt }: CheckedJob): string {
  if (startedAt === null || finishedAt === null) return "";
  const milliseconds = finishedAt - startedAt;
  const seconds = Math.floor((milliseconds % MINUTE_MS) / SECOND_MS);
  const minutes = Math.floor(milliseconds / MINUTE_MS);
  return minutes === 0 ? ` in ${seconds} s` : ` in ${minutes} min ${seconds} s`;
}
