import type { Store, WriteTx } from "../../store/store.ts";
import { advanceRun } from "./advance-run.ts";
import { cancelJob } from "./cancel-job.ts";
import { clearDueMember, dueMembers, findMember, lockGroup, type Member, nextDueMember } from "./concurrency-store.ts";
import type { RunsDeps } from "./ports.ts";
import { fillPlaces } from "./run-places.ts";
import { findOpenJob, lockRun } from "./store.ts";

/** Members of groups looked at in one round; the loop comes back at once while there are more. */
const BATCH = 50;

/**
 * Ends those that a newer one of their concurrency group replaced. Answers when the next one is due, null when none is. Harmless
 * when done twice.
 */
export async function runDueMembers(store: Store, deps: RunsDeps, now: number): Promise<number | null> {
  for (const due of await store.read((tx) => dueMembers(tx, now, BATCH)))
    await store.write((tx) => endReplaced(tx, deps, due, now));
  return store.read((tx) => nextDueMember(tx));
}

async function endReplaced(
  tx: WriteTx,
  deps: RunsDeps,
  { number, run_id, group_id }: Member,
  now: number,
): Promise<void> {
  const run = await lockRun(tx, deps.forUpdate, run_id);
  await lockGroup(tx, deps.forUpdate, group_id);
  const member = await findMember(tx, number);
  if (!run || !member || member.due_at === null) return;
  await clearDueMember(tx, number);
  if (member.replaced_by === null) return;
  const job = await findOpenJob(tx, member.job_id);
  if (!job) return;
  const message = await replacedBy(tx, member.replaced_by);
  const facts = { ...member, job_id: job.id, workspace_id: run.workspace_id, project_id: run.project_id };
  await cancelJob(tx, deps, facts, job, { reason: "replaced", message, because: message, force: false }, now);
  const { finished } = await advanceRun(tx, deps, facts, now);
  if (finished) await fillPlaces(tx, deps, run.workspace_id, now);
}

const RUN = "select number, workflow_name from runs where id = ?";

async function replacedBy(tx: WriteTx, runId: string): Promise<string> {
  const run = await tx.get<{ number: number; workflow_name: string }>(RUN, [runId]);
  const who = run ? `run ${run.number} of ${run.workflow_name}` : "a newer run";
  return `${who} came after it in its concurrency group and replaces it`;
}
