import type { WriteTx } from "../../store/store.ts";
import { isTerminal } from "./model.ts";
import { record } from "./record-event.ts";
import { endUnstartedStep, type ExecutionFacts, finishStep, loadSteps } from "./store.ts";

/** Ends the steps of an execution that ends from outside; the running one takes `status`, its log closes when the lease is over. */
export async function endOpenSteps(
  tx: WriteTx,
  facts: ExecutionFacts,
  running: { status: "failed" | "cancelled"; message: string; reason?: "timed_out" },
  now: number,
): Promise<void> {
  for (const step of await loadSteps(tx, facts)) {
    if (step.status === "running") {
      const error = JSON.stringify({ message: running.message, ...(running.reason ? { reason: running.reason } : {}) });
      await finishStep(
        tx,
        step,
        {
          status: running.status,
          exitCode: null,
          error: running.status === "failed" ? error : null,
          output: null,
          logOutcome: "abandoned",
        },
        now,
      );
      const finished = { name: step.name, attempt: step.currentAttempt, status: running.status, exit_code: null };
      record(tx, { ...facts, stepId: step.id }, "step.finished", finished, now);
    } else if (!isTerminal(step.status)) {
      await endUnstartedStep(tx, step.id, "cancelled", null, now);
    }
  }
}
