import type { CheckoutConfig } from "@shipfox/shared/machine";
import type { Tx, WriteTx } from "../../store/store.ts";
import type { ExecutionFacts, StepFacts } from "./store.ts";

const KNOWN =
  "select r.pinned_commit, r.checked_out_commit from runs r join run_attempts a on a.run_id = r.id where a.id = ?";

const KEEP =
  "update runs set checked_out_commit = ? where id = ? and pinned_commit is null and checked_out_commit is null";

/** Of a run from before the column: what its set-up steps say. */
const CHECKED_OUT = `select s.output from run_attempts own join run_attempts a on a.run_id = own.run_id
  join jobs j on j.run_attempt_id = a.id join job_executions e on e.job_id = j.id join steps s on s.job_execution_id = e.id and s.position = 0
  where own.id = ? and s.status = 'succeeded' and s.output is not null order by a.attempt limit 1`;

/**
 * The commit of the event that started the run, or the one that an earlier job of it checked out: all jobs of all its attempts
 * see the same one. Null for the first job of a run that no commit started.
 */
export async function checkedOutCommit(tx: Tx, runAttemptId: string): Promise<string | null> {
  const run = await tx.get<{ pinned_commit: string | null; checked_out_commit: string | null }>(KNOWN, [runAttemptId]);
  const known = run?.pinned_commit ?? run?.checked_out_commit ?? null;
  if (known !== null) return known;
  const step = await tx.get<{ output: string }>(CHECKED_OUT, [runAttemptId]);
  const output = step && (JSON.parse(step.output) as { checkout?: { commit?: string } });
  return output?.checkout?.commit ?? null;
}

/** The commit that a step checked out becomes that of a run without one, when it is one of the run's own repository. */
export async function keepCommit(
  tx: WriteTx,
  facts: Pick<ExecutionFacts, "run_id">,
  step: Pick<StepFacts, "type" | "config">,
  commit: string,
): Promise<void> {
  if (step.type === "setup" || (step.type === "checkout" && isOwnCheckout(JSON.parse(step.config))))
    await tx.run(KEEP, [commit, facts.run_id]);
}

/** Whether a checkout step names neither a repository nor a ref: then it is about the commit of the run. */
function isOwnCheckout({ checkout }: CheckoutConfig): boolean {
  const { project, connection, repository, ref = "" } = checkout;
  return project === undefined && connection === undefined && repository === undefined && ref === "";
}

const WITHHOLDS =
  "select 1 as found from runs r join projects p on p.id = r.project_id where r.id = ? and r.untrusted = 1 and p.untrusted_secrets = 0";

/** Whether the run gets no secrets: strangers may have made what it runs, and its project does not trust that with any. */
export async function withholdsSecrets(tx: Tx, runId: string): Promise<boolean> {
  return (await tx.get(WITHHOLDS, [runId])) !== undefined;
}

/** Whether somebody without rights to the repository may have made what the run runs. */
export async function isUntrusted(tx: Tx, runId: string): Promise<boolean> {
  return (await tx.get<{ untrusted: number }>("select untrusted from runs where id = ?", [runId]))?.untrusted === 1;
}
