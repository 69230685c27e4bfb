import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Job, JobExecution } from "@shipfox/shared/api/runs";
import type { ControlPlane } from "../src/control-plane.ts";
import type { Instance } from "../src/instance.ts";
import { outputOf } from "../src/log-stream.ts";
import { processesBelow } from "../src/processes.ts";
import type { Runner } from "../src/runner.ts";

/** Every finding is a sentence that names the run or the thing. Empty lists are what is promised. */
export interface Findings {
  readonly lost: string[];
  readonly doubled: string[];
  readonly leftBehind: string[];
}

export interface Account extends Findings {
  readonly executions: number;
}

/** What the job of a soak prints. Of one length, so that a line cut short by a kill is told from a whole one. */
export function lineOf(number: number): string {
  return `line ${String(number).padStart(4, "0")}`;
}

const WHOLE_LINE = /^line \d{4}$/;

/** Goes through every run, with its executions and their logs. The control plane must be up and at rest. */
export async function auditRuns(instance: Instance, runIds: readonly string[], lines: number): Promise<Account> {
  const account = { executions: 0, lost: [] as string[], doubled: [] as string[], leftBehind: [] as string[] };
  for (const runId of runIds) {
    const run = await instance.run(runId);
    const where = `run ${runId}`;
    if (run.status !== "succeeded") account.lost.push(`${where} ended as ${run.status}`);
    for (const job of run.jobs) {
      account.executions += job.job_executions.length;
      auditExecutions(where, job, account);
      for (const execution of job.job_executions) await auditLog(instance, execution, lines, account);
    }
  }
  return account;
}

function auditExecutions(where: string, job: Job, { lost, doubled }: Findings): void {
  const executions = job.job_executions.toSorted((left, right) => left.sequence - right.sequence);
  const succeeded = executions.filter(({ status }) => status === "succeeded");
  if (succeeded.length === 0) lost.push(`${where}: no execution succeeded`);
  if (succeeded.length > 1) doubled.push(`${where}: ${succeeded.length} executions succeeded`);
  for (const [index, execution] of executions.entries()) {
    if (execution.status === "failed" && execution.failure_class !== "infrastructure")
      lost.push(
        `${where}: execution ${execution.sequence} counts as a failure of the user: ${execution.status_reason}`,
      );
    const before = executions[index - 1];
    if (before === undefined) continue;
    if (execution.retry_of !== before.id)
      doubled.push(`${where}: execution ${execution.sequence} replaces no former one`);
    if (Date.parse(execution.started_at ?? "") < Date.parse(before.finished_at ?? ""))
      doubled.push(`${where}: execution ${execution.sequence} began before the former one had ended`);
  }
}

/** The log is a prefix of what the job prints, and all of it when the execution succeeded. */
async function auditLog(
  instance: Instance,
  execution: JobExecution,
  lines: number,
  { lost, doubled }: Findings,
): Promise<void> {
  const where = `execution ${execution.id}`;
  for (const step of execution.steps) {
    if (step.type !== "run" || step.attempts.length === 0) continue;
    const text = outputOf(await instance.logRecords(step.id));
    const printed = text.split("\n").filter((line) => WHOLE_LINE.test(line));
    const expected = Array.from({ length: printed.length }, (_, index) => lineOf(index + 1));
    if (new Set(printed).size < printed.length) doubled.push(`${where}: its log has a line twice`);
    else if (printed.join() !== expected.join()) lost.push(`${where}: its log has a hole or another order`);
    if (execution.status === "succeeded" && printed.length !== lines)
      lost.push(`${where}: it succeeded, and ${printed.length} of its ${lines} lines are there`);
  }
}

interface LeaseRow {
  readonly fence: number;
  readonly job_id: string;
  readonly claimed_at: number;
  readonly ended_at: number | null;
}

/** At most one live lease of each job at any time, each with a greater fence. The control plane must be stopped. */
export function auditLeases(plane: ControlPlane): string[] {
  const database = new DatabaseSync(join(plane.dataDir, "shipfox.db"), { readOnly: true });
  try {
    const rows = database.prepare("SELECT fence, job_id, claimed_at, ended_at FROM leases ORDER BY fence").all();
    const former = new Map<string, LeaseRow>();
    const doubled: string[] = [];
    for (const lease of rows as unknown as LeaseRow[]) {
      const before = former.get(lease.job_id);
      if (before && (before.ended_at === null || before.ended_at > lease.claimed_at))
        doubled.push(`job ${lease.job_id}: leases ${before.fence} and ${lease.fence} lived at once`);
      if (lease.ended_at === null)
        doubled.push(`job ${lease.job_id}: lease ${lease.fence} lives after the end of its run`);
      former.set(lease.job_id, lease);
    }
    return doubled;
  } finally {
    database.close();
  }
}

/** Part of the work folder itself, not of a job. */
const STANDING_FOLDERS = new Set(["places"]);

/** What a stopped runner still has: containers, networks, processes, workspaces, logs to send. */
export async function leftBehind(runner: Runner): Promise<string[]> {
  const processes = await processesBelow(runner.stateDir);
  const files = await Promise.all(["work", "spool"].map((folder) => filesIn(join(runner.stateDir, folder))));
  return [
    ...(await runner.dockerThings()),
    ...processes.map((id) => `process ${id}`),
    ...files.flat().map((file) => `file ${file}`),
  ].map((thing) => `${runner.name}: ${thing}`);
}

async function filesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  return names.filter((name) => !STANDING_FOLDERS.has(name)).map((name) => join(folder, name));
}
