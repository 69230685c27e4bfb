import type { WriteTx } from "../../store/store.ts";
import { requiredCapabilities, type JobModel } from "../workflow/public.ts";
import { decideRun } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import { record } from "./record-event.ts";
import { endUnstartedStep, finishExecution, finishJob, finishRun, loadJobs, loadSteps, markQueued } from "./store.ts";

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
    priority: 0,
    avoidedSessionId,
    now,
  });
}

/** The run, and, where one of its executions has just ended, that one. */
interface AdvancedRun {
  readonly workspace_id: string;
  readonly project_id: string;
  readonly run_id: string;
  readonly run_attempt_id: string;
  readonly job_id?: string;
  readonly id?: string;
}

/**
 * Starts, skips and finishes what the state of the jobs decides: after a job's end, and when a run gets its place. The
 * caller holds the run's lock, and gives away the place of a run that finished.
 */
export async function advanceRun(
  tx: WriteTx,
  deps: Pick<RunsDeps, "dispatch">,
  facts: AdvancedRun,
  now: number,
): Promise<{ finished: boolean }> {
  const jobs = await loadJobs(tx, facts.run_attempt_id);
  const started = new Set(
    jobs.filter((job) => job.queuedAt !== null || job.executionStatus !== "pending").map((job) => job.key),
  );
  const verdict = decideRun(
    jobs.map((job) => ({ key: job.key, status: job.status, needs: JSON.parse(job.needs) as string[] })),
    started,
  );
  for (const job of jobs) {
    const own = { ...facts, id: job.executionId, job_id: job.id };
    if (verdict.skip.includes(job.key)) {
      await finishJob(tx, job.id, "skipped", "default_gate_rejected", now);
      await finishExecution(
        tx,
        job.executionId,
        { status: "cancelled", reason: "default_gate_rejected", message: null, cause: null, timedOut: false },
        now,
      );
      for (const step of await loadSteps(tx, job.executionId))
        await endUnstartedStep(tx, step.id, "skipped", "default_gate_rejected", now);
      const skipped = { key: job.key, sequence: 1, status: "skipped", reason: "default_gate_rejected" } as const;
      record(tx, own, "job.finished", skipped, now);
    } else if (verdict.start.includes(job.key)) {
      const model = JSON.parse(job.model) as JobModel;
      await markQueued(tx, job.executionId, now + model.executionTimeoutMs, now);
      deps.dispatch.dueAt(tx, now + model.executionTimeoutMs);
      record(tx, own, "job.queued", { key: job.key, sequence: 1 }, now);
      await enqueue(tx, deps, own, model, null, now);
    }
  }
  if (verdict.finish) {
    await finishRun(tx, facts.run_id, verdict.finish, now);
    // Of the run alone: the job that happened to end last is no part of it.
    const { workspace_id, project_id, run_id } = facts;
    record(tx, { workspace_id, project_id, run_id }, "run.finished", { status: verdict.finish }, now);
  }
  return { finished: verdict.finish !== null };
}
