import type { Tx } from "../../store/store.ts";

const CHECKED_OUT = `select s.output from run_attempts own join run_attempts a on a.run_id = own.run_id
  join jobs j on j.run_attempt_id = a.id join job_executions e on e.job_id = j.id join steps s on s.job_execution_id = e.id and s.position = 0
  where own.id = ? and s.status = 'succeeded' and s.output is not null order by a.attempt limit 1`;

/** The commit that an earlier job of the run checked out: all jobs of all its attempts see the same one. Null for the first. */
export async function checkedOutCommit(tx: Tx, runAttemptId: string): Promise<string | null> {
  const step = await tx.get<{ output: string }>(CHECKED_OUT, [runAttemptId]);
  const output = step && (JSON.parse(step.output) as { checkout?: { commit?: string } });
  return output?.checkout?.commit ?? null;
}
