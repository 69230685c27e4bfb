import { marks } from "../../store/marks.ts";
import type { Store } from "../../store/store.ts";

/** Runs that are removed together. */
export const RUNS_BATCH = 16;
/** Executions that one transaction deletes, each with its steps, their attempts, logs and annotations. */
const EXECUTIONS = 16;
/** Rows of another kind that one transaction deletes. */
const ROWS = 256;

const attemptsOf = (runs: number) => `from run_attempts a where a.run_id in (${marks(runs)})`;
const jobsOf = (runs: number) =>
  `from run_attempts a join jobs j on j.run_attempt_id = a.id where a.run_id in (${marks(runs)})`;
const executionsOf = (runs: number) => `select e.id from run_attempts a join jobs j on j.run_attempt_id = a.id
  join job_executions e on e.job_id = j.id where a.run_id in (${marks(runs)}) limit ?`;
const eventsOf = (runs: number) => `delete from listener_events where (job_id, event_id) in
  (select l.job_id, l.event_id from run_attempts a join jobs j on j.run_attempt_id = a.id
    join listener_events l on l.job_id = j.id where a.run_id in (${marks(runs)}) limit ?)`;
const needsOf = (runs: number) => `delete from job_needs where (run_attempt_id, node, job_id) in
  (select n.run_attempt_id, n.node, n.job_id from run_attempts a join job_needs n on n.run_attempt_id = a.id
    where a.run_id in (${marks(runs)}) limit ?)`;

/** What is left of a run without executions, in the order in which it goes. */
const PARTS = [
  eventsOf,
  needsOf,
  (runs: number) => `delete from jobs where id in (select j.id ${jobsOf(runs)} limit ?)`,
  (runs: number) => `delete from run_attempts where id in (select a.id ${attemptsOf(runs)} limit ?)`,
];

export interface RemoveRunsDeps {
  readonly store: Store;
  /** Removes the files of all logs of some executions; safe to repeat. */
  readonly removeLogs: (executionIds: readonly string[]) => Promise<void>;
}

/**
 * Deletes runs and all that belongs to them, at most `RUNS_BATCH` of them, in small transactions: files of logs before the rows
 * that name them, what refers to something before it. Stops after a transaction that was full, and answers whether the runs
 * are gone. Safe to repeat after a crash at any moment.
 */
export async function removeRuns({ store, removeLogs }: RemoveRunsDeps, runIds: readonly string[]): Promise<boolean> {
  const executions = (
    await store.read((tx) => tx.all<{ id: string }>(executionsOf(runIds.length), [...runIds, EXECUTIONS]))
  ).map(({ id }) => id);
  if (executions.length > 0) {
    await removeLogs(executions);
    await store.write((tx) =>
      tx.run(`delete from job_executions where id in (${marks(executions.length)})`, executions),
    );
  }
  if (executions.length === EXECUTIONS) return false;
  for (const part of PARTS) {
    const deleted = await store.write((tx) => tx.run(part(runIds.length), [...runIds, ROWS]));
    if (deleted === ROWS) return false;
  }
  await store.write((tx) => tx.run(`delete from runs where id in (${marks(runIds.length)})`, [...runIds]));
  return true;
}
