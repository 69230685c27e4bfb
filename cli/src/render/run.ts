import type { Annotation } from "@shipfox/shared/api/annotations";
import { type Job, type JobExecution, type RunDetail, type Step, TERMINAL_STATUSES } from "@shipfox/shared/api/runs";
import { millisecondsBetween } from "../plan-output.ts";
import type { Colors } from "../terminal.ts";
import { renderAnnotations } from "./annotations.ts";
import { plainText } from "./plain-text.ts";
import { eventWords, resolutionWords } from "./listening.ts";
import { inStatusColor, reasonWords, statusSymbol } from "./status.ts";
import { age, duration } from "./time.ts";

/** The run as a tree of jobs, executions and steps with durations and reasons, its annotations and what to type next. */
export function renderRun(
  run: RunDetail,
  annotations: readonly Annotation[],
  colors: Colors,
  now: number = Date.now(),
): string {
  const ran = elapsed(run.started_at, run.finished_at, now);
  const took = ran === null ? "" : ` ${colors.dim(duration(ran))}`;
  const lines = [
    `${statusSymbol(run.status, colors)} ${colors.bold(`${plainText(run.name)} #${run.number}`)} ` +
      `${inStatusColor(run.status, run.status, colors)}${took}`,
    colors.dim(`  ${run.id} · ${plainText(run.trigger_source)} · created ${age(run.created_at, now)}`),
  ];
  for (const job of [...run.jobs].sort((a, b) => a.position - b.position)) {
    const reason = colors.dim(reasonText(job));
    const status = job.listener_status === "listening" ? "listening" : job.status;
    lines.push("", `${statusSymbol(job.status, colors)} ${colors.bold(job.key)} ${status}${reason}`);
    if (job.resolution_reason !== null) lines.push(`  ${colors.dim(resolutionWords(job.resolution_reason))}`);
    if (job.waiting !== null) lines.push(`  ${colors.yellow(`waiting: ${plainText(job.waiting.message)}`)}`);
    for (const execution of job.job_executions) {
      if (job.job_executions.length > 1 || job.mode === "listening") lines.push(executionLine(execution, colors, now));
      for (const step of execution.steps) lines.push(...stepLines(step, colors, now));
    }
  }
  lines.push(...renderAnnotations(run, annotations, colors));
  lines.push("", ...nextLines(run).map((line) => `${colors.dim("next:")} ${line}`));
  return lines.join("\n");
}

/** Commands that make sense for a run in this state. */
export function nextLines(run: { id: string; status: string }): string[] {
  if (TERMINAL_STATUSES.has(run.status)) return [`shipfox logs ${run.id}`];
  return [`shipfox runs watch ${run.id}`, `shipfox runs cancel ${run.id}`];
}

function executionLine(execution: JobExecution, colors: Colors, now: number): string {
  const why = reasonText(execution);
  const where = execution.runner_name === null ? "" : ` on ${plainText(execution.runner_name)}`;
  const took = duration(elapsed(execution.started_at, execution.finished_at, now));
  const events = execution.trigger_events.map(({ source, event }) => `${source} ${event}`);
  const cause = events.length === 0 ? "" : ` for ${eventWords(events)}`;
  return `  ${statusSymbol(execution.status, colors)} execution ${execution.sequence} ${execution.status}${why}${where}${cause} ${colors.dim(took)}`;
}

/** Why it ended so, and that it was not the user's doing when it was not. */
export function reasonText({ status_reason, failure_class, failure_cause }: Job | JobExecution): string {
  const words = status_reason === null ? [] : [reasonWords(status_reason)];
  if (failure_cause !== null && failure_cause !== status_reason) words.push(reasonWords(failure_cause));
  if (failure_class === "infrastructure") words.push("not your workflow's fault");
  return words.length === 0 ? "" : ` (${words.join(", ")})`;
}

/** The step, and under it its error. */
export function stepLines(step: Step, colors: Colors, now: number): string[] {
  const attempt = step.attempts.at(-1);
  const took = attempt ? ` ${colors.dim(duration(elapsed(attempt.started_at, attempt.finished_at, now)))}` : "";
  const exit = step.exit_code !== null && step.exit_code !== 0 ? ` exit code ${step.exit_code}` : "";
  const lines = [`  ${statusSymbol(step.status, colors)} ${plainText(step.name)}${exit}${took}`];
  if (step.error !== null) lines.push(`    ${colors.red(plainText(step.error.message))}`);
  return lines;
}

/** Milliseconds, up to now while it goes on; null before it began. */
export function elapsed(from: string | null, to: string | null, now: number): number | null {
  return millisecondsBetween(from, to ?? new Date(now).toISOString());
}
