import type { Tx } from "../../store/store.ts";

const CHECKED_OUT = `select s.output from run_attempts own join run_attempts a on a.run_id = own.run_id
  join jobs j on j.run_attempt_id = a.id join job_executions e on e.job_id = j.id join steps s on s.job_execution_id = e.id and s.position = 0
  where own.id = ? and s.status = 'succeeded' and s.output is not null order by a.attempt limit 1`;

const PINNED = "select r.pinned_commit from runs r join run_attempts a on a.run_id = r.id where a.id = ?";

/**
 * The commit of the event that started the run, or the one that an earlier job of it checked out: all jobs of all its attempts
 * see the same one. Null for the first job of a run that no commit started.
 */
export async function checkedOutCommit(tx: Tx, runAttemptId: string): Promise<string | null> {
  const run = await tx.get<{ pinned_commit: string | null }>(PINNED, [runAttemptId]);
  if (run?.pinned_commit) return run.pinned_commit;
  const step = await tx.get<{ output: string }>(CHECKED_OUT, [runAttemptId]);
  const output = step && (JSON.parse(step.output) as { checkout?: { commit?: string } });
  return output?.checkout?.commit ?? null;
}
