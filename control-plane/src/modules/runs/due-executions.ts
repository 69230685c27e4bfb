import type { Store } from "../../store/store.ts";
import { endExecution, enqueueRetry } from "./end-execution.ts";
import { endOpenSteps } from "./end-open-steps.ts";
import type { RunsDeps } from "./ports.ts";
import { isTerminal } from "./model.ts";
import { dueExecutions, lockExecution, nextDue } from "./store.ts";

/** Executions looked at in one round; the loop comes back at once while there are more. */
const BATCH = 50;

/**
 * Executions whose moment has come: a retry whose back-off is over is queued, an execution past its time limit fails with
 * `timed_out`. Answers when the next one is due, null when none is. Harmless when done twice.
 */
export async function runDueExecutions(store: Store, deps: RunsDeps, now: number): Promise<number | null> {
  for (const due of await store.read((tx) => dueExecutions(tx, now, BATCH))) {
    await store.write(async (tx) => {
      const facts = await lockExecution(tx, deps.forUpdate, due.id);
      if (!facts || facts.due_at === null || facts.due_at > now || isTerminal(facts.status)) return;
      if (facts.status === "pending" && facts.queued_at === null) {
        await enqueueRetry(tx, deps, facts, now);
        return;
      }
      if (facts.status === "running") await deps.dispatch.cancelLease(tx, facts.id, now);
      else await deps.dispatch.withdraw(tx, facts.id);
      await endOpenSteps(
        tx,
        facts,
        { status: "failed", message: "the job took longer than its execution_timeout", reason: "timed_out" },
        now,
      );
      await endExecution(tx, deps, facts, { kind: "failed", reason: "timed_out" }, { now, timedOut: true });
    });
  }
  return store.read((tx) => nextDue(tx));
}
