import { type Job, type JobExecution, type RunDetail, type Step, TERMINAL_STATUSES } from "@shipfox/shared/api/runs";
import { plainText } from "../render/plain-text.ts";
import { elapsed, reasonText, stepLines } from "../render/run.ts";
import { inStatusColor, statusSymbol } from "../render/status.ts";
import { duration } from "../render/time.ts";
import { cutToWidth } from "../render/width.ts";
import type { Colors } from "../terminal.ts";

/** Title and progress above the tree, keys under it, an empty line between them and the tree. */
const FRAME_LINES = 4;
const BAR_COLUMNS = 20;
/** Of the log of a step that runs: what it gets before anything less important, and at most. */
const SHORT_TAIL_LINES = 3;
const LONG_TAIL_LINES = 12;
/** Which jobs stay when there are more than lines: those that run, then those that went wrong, then those that wait. */
const RANKS = ["running", "failed", "cancelled", "pending", "succeeded", "skipped"];

export interface View {
  readonly rows: number;
  readonly columns: number;
  readonly now: number;
  readonly colors: Colors;
  /** The last lines of the log of a step's attempt. */
  readonly tailOf: (stepId: string, attempt: number) => readonly string[];
  /** The last line: what the user can do. */
  readonly footer: string;
}

/** One job of the tree, and what of it there is room for. */
interface Branch {
  readonly job: Job;
  readonly execution: JobExecution | undefined;
  readonly shown: Set<Step>;
  tail: number;
}

/** The run as at most `rows` lines of at most `columns`: a tree of jobs and steps, with the ends of the logs of what runs. */
export function layoutRun(run: RunDetail, view: View): string[] {
  const room = Math.max(1, view.rows - FRAME_LINES);
  const jobs = [...run.jobs].sort((a, b) => a.position - b.position);
  const kept = new Set(jobs.length <= room ? jobs : mostImportant(jobs, room - 1));
  const branches = jobs.filter((job) => kept.has(job)).map(branchOf);
  const hidden = jobs.filter((job) => !kept.has(job));
  unfold(branches, room - branches.length - (hidden.length > 0 ? 1 : 0), view);
  const lines = [titleLine(run, view), progressLine(jobs, view), ""];
  for (const branch of branches) lines.push(...branchLines(branch, view));
  if (hidden.length > 0) lines.push(view.colors.dim(`  … ${hidden.length} more: ${countWords(hidden)}`));
  const fitting = lines.slice(0, Math.max(0, view.rows - 1));
  return [...fitting, view.colors.dim(view.footer)].map((line) => cutToWidth(line, view.columns));
}

function mostImportant(jobs: readonly Job[], count: number): Job[] {
  const rank = (job: Job) => RANKS.indexOf(job.status);
  return [...jobs].sort((a, b) => rank(a) - rank(b)).slice(0, Math.max(0, count));
}

function branchOf(job: Job): Branch {
  const execution = job.job_executions.findLast(({ status }) => status === "running") ?? job.job_executions.at(-1);
  return { job, execution: job.status === "skipped" ? undefined : execution, shown: new Set(), tail: 0 };
}

/** Gives `room` lines to steps and logs, the most telling first. */
function unfold(branches: readonly Branch[], room: number, view: View): void {
  let left = room;
  const show = (branch: Branch, steps: readonly Step[]) => {
    const fresh = steps.filter((step) => !branch.shown.has(step));
    const needed = fresh.reduce((sum, step) => sum + stepLines(step, view.colors, view.now).length, 0);
    if (needed > left) return;
    left -= needed;
    for (const step of fresh) branch.shown.add(step);
  };
  const grow = (branch: Branch, limit: number) => {
    const step = currentStep(branch);
    if (!step || !branch.shown.has(step)) return;
    const wanted = Math.min(limit, view.tailOf(step.id, step.current_attempt).length) - branch.tail;
    const given = Math.max(0, Math.min(wanted, left));
    left -= given;
    branch.tail += given;
  };
  const running = branches.filter(({ job }) => job.status === "running");
  const wrong = branches.filter(({ job }) => job.status === "failed" || job.status === "cancelled");
  for (const branch of running)
    show(
      branch,
      [currentStep(branch)].filter((step) => step !== undefined),
    );
  for (const branch of wrong) {
    show(
      branch,
      stepsOf(branch).filter(({ status }) => status === "failed"),
    );
  }
  for (const branch of running) grow(branch, SHORT_TAIL_LINES);
  for (const branch of running) show(branch, stepsOf(branch));
  for (const branch of running) grow(branch, LONG_TAIL_LINES);
  for (const branch of [...wrong, ...branches]) show(branch, stepsOf(branch));
}

function stepsOf({ execution }: Branch): readonly Step[] {
  return [...(execution?.steps ?? [])].sort((a, b) => a.position - b.position);
}

function currentStep(branch: Branch): Step | undefined {
  return stepsOf(branch).find(({ status }) => status === "running");
}

function titleLine(run: RunDetail, { colors, now }: View): string {
  const { started_at, finished_at } = run.run_attempt;
  const took = elapsed(started_at, finished_at, now);
  const title = colors.bold(`${plainText(run.name)} #${run.number}`);
  const status = inStatusColor(run.status, run.status, colors);
  const again = run.run_attempt.attempt === 1 ? "" : colors.dim(` attempt ${run.run_attempt.attempt}`);
  return `${statusSymbol(run.status, colors)} ${title} ${status}${again}${took === null ? "" : colors.dim(` ${duration(took)}`)}`;
}

function progressLine(jobs: readonly Job[], { colors }: View): string {
  const ended = jobs.filter(({ status }) => TERMINAL_STATUSES.has(status)).length;
  const full = jobs.length === 0 ? 0 : Math.floor((BAR_COLUMNS * ended) / jobs.length);
  const bar = colors.green("█".repeat(full)) + colors.dim("░".repeat(BAR_COLUMNS - full));
  return `  ${bar} ${ended} of ${jobs.length} jobs${jobs.length === 0 ? "" : colors.dim(` · ${countWords(jobs)}`)}`;
}

function countWords(jobs: readonly Job[]): string {
  const counts = Map.groupBy(jobs, ({ status }) => status);
  return RANKS.flatMap((status) => {
    const count = counts.get(status as Job["status"])?.length ?? 0;
    return count === 0 ? [] : [`${count} ${status}`];
  }).join(", ");
}

function branchLines(branch: Branch, view: View): string[] {
  const lines = [jobLine(branch, view)];
  const current = currentStep(branch);
  for (const step of stepsOf(branch).filter((candidate) => branch.shown.has(candidate))) {
    lines.push(...stepLines(step, view.colors, view.now));
    if (step !== current || branch.tail === 0) continue;
    const tail = view.tailOf(step.id, step.current_attempt).slice(-branch.tail);
    lines.push(...tail.map((line) => `    ${view.colors.dim("│")} ${line}`));
  }
  return lines;
}

function jobLine({ job, execution }: Branch, { colors, now }: View): string {
  const status = job.listener_status === "listening" ? "listening" : job.status;
  const words = [`${statusSymbol(job.status, colors)} ${colors.bold(plainText(job.key))}`];
  words.push(`${inStatusColor(job.status, status, colors)}${colors.dim(reasonText(job))}`);
  if (execution && (job.job_executions.length > 1 || job.mode === "listening"))
    words.push(`execution ${execution.sequence}`);
  const took = execution ? elapsed(execution.started_at, execution.finished_at, now) : null;
  if (took !== null) words.push(colors.dim(duration(took)));
  if (job.status === "running" && execution?.runner_name)
    words.push(colors.dim(`on ${plainText(execution.runner_name)}`));
  if (job.waiting !== null) words.push(colors.yellow(plainText(job.waiting.message)));
  return words.join(" ");
}
