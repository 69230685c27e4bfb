import { newId } from "@shipfox/shared/ids";
import type { WriteTx } from "../../store/store.ts";
import type { ConcurrencyModel, JobModel } from "../workflow/public.ts";
import {
  dropEmptyGroup,
  findHolder,
  findMember,
  firstWaiting,
  givePlace,
  insertMember,
  lockGroup,
  markReplaced,
  type Member,
  memberOfJob,
  memberOfExecution,
  newestExecution,
  removeMember,
  takeGroup,
  waitingJobs,
} from "./concurrency-store.ts";
import { decideMember, isTerminal } from "./model.ts";
import type { RunsDeps } from "./ports.ts";
import { queueExecution } from "./queue-execution.ts";
import { type JobFacts, loadModel } from "./store.ts";

// A group is locked after the run of whoever arrives or leaves, and before the execution that gets its place, whose run needs
// no lock for that: an execution that waits in a line is changed under the lock of the line alone. What needs the lock of
// another run as well, such as to end one that is replaced, is left to the due loop, which locks that run first.

type GroupDeps = Pick<RunsDeps, "dispatch" | "forUpdate">;

/** A job that has come to its turn. */
interface Newcomer {
  readonly project_id: string;
  readonly run_id: string;
  readonly run_attempt_id: string;
  readonly job_id: string;
}

/**
 * Lets a newcomer into the line of its group, and answers whether it has the place. One that replaces marks the others, of
 * other runs, for their end, and still waits until the one that goes is out.
 */
export async function arrive(
  tx: WriteTx,
  deps: GroupDeps,
  { name, onBusy }: { name: string; onBusy: ConcurrencyModel["onBusy"] },
  newcomer: Newcomer,
  now: number,
): Promise<"goes" | "waits"> {
  const groupId = await takeGroup(tx, { newId: newId(now), projectId: newcomer.project_id, name });
  if (onBusy === "replace" && (await markReplaced(tx, groupId, newcomer.run_id, now)) > 0) deps.dispatch.dueAt(tx, now);
  const goes = (await findHolder(tx, groupId)) === undefined;
  const { run_id, run_attempt_id, job_id } = newcomer;
  await insertMember(tx, { group_id: groupId, run_id, run_attempt_id, job_id, holds: goes ? 1 : 0 }, now);
  return goes ? "goes" : "waits";
}

/** A job has ended: it leaves its line, and gives its place to the next when no runner is at it any more. */
export async function jobEnded(tx: WriteTx, deps: GroupDeps, jobId: string, now: number): Promise<void> {
  const member = await memberOfJob(tx, jobId);
  if (member) await settle(tx, deps, member, now);
}

/** The lease of an execution has ended, in whatever way: what waited for the end of its runner goes on. */
export async function leaseEnded(tx: WriteTx, deps: GroupDeps, executionId: string, now: number): Promise<void> {
  const member = await memberOfExecution(tx, executionId);
  if (member) await settle(tx, deps, member, now);
}

/** Jobs that end together leave their lines first, so that none of them gets the place of another one. */
export async function leaveLines(
  tx: WriteTx,
  deps: GroupDeps,
  runAttemptId: string,
  jobs: readonly Pick<JobFacts, "id">[],
): Promise<void> {
  const ids = new Set(jobs.map(({ id }) => id));
  for (const { number, group_id, job_id } of await waitingJobs(tx, runAttemptId)) {
    if (!ids.has(job_id)) continue;
    await lockGroup(tx, deps.forUpdate, group_id);
    if ((await findMember(tx, number))?.holds === 0) await removeMember(tx, number);
  }
}

/** The lock of the line in which a job waits, which comes before that of its execution. */
export async function lockLine(tx: WriteTx, deps: GroupDeps, jobId: string): Promise<void> {
  const member = await memberOfJob(tx, jobId);
  if (member) await lockGroup(tx, deps.forUpdate, member.group_id);
}

async function settle(tx: WriteTx, deps: GroupDeps, { number, group_id, job_id }: Member, now: number): Promise<void> {
  await lockGroup(tx, deps.forUpdate, group_id);
  const member = await findMember(tx, number);
  if (!member) return;
  const holds = member.holds === 1;
  const leased = holds && (await deps.dispatch.isLeased(tx, job_id));
  const execution = await newestExecution(tx, job_id);
  const over = execution === undefined || isTerminal(execution.job_status);
  if (decideMember({ holds, over, leased }) === "leave") {
    await removeMember(tx, number);
    if (holds) await passOn(tx, deps, group_id, now);
    else await dropEmptyGroup(tx, group_id);
  } else if (holds && !leased) await goOn(tx, deps, job_id, now);
}

/** Gives a free place to the first in line. */
async function passOn(tx: WriteTx, deps: GroupDeps, groupId: string, now: number): Promise<void> {
  const next = await firstWaiting(tx, groupId);
  if (!next) return dropEmptyGroup(tx, groupId);
  await givePlace(tx, next.number);
  await goOn(tx, deps, next.job_id, now);
}

/** Queues the execution of a job that has the place, when it waited for nothing else. */
async function goOn(tx: WriteTx, deps: GroupDeps, jobId: string, now: number): Promise<void> {
  const execution = await newestExecution(tx, jobId);
  if (!execution || execution.execution_status !== "pending") return;
  if (execution.queued_at !== null || execution.due_at !== null) return;
  await queueExecution(tx, deps, execution, JSON.parse(await loadModel(tx, jobId)) as JobModel, now);
}
