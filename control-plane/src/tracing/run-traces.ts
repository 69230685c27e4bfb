import type { Logger } from "@shipfox/shared/logger";
import type { RunEvent, Store } from "../store/store.ts";
import { planSpans } from "./plan-spans.ts";
import { readEndedRun } from "./read-run.ts";
import type { SpanCounts, SpanSender } from "./span-exporter.ts";

/** Runs that have ended and are not read yet; with more, new ones are left out. */
const MAX_WAITING_RUNS = 1_000;

export interface RunTracesDeps {
  readonly store: Store;
  readonly log: Logger;
  readonly sender: Pick<SpanSender, "send" | "stop" | "counts">;
}

/** Makes a trace of each run when it has ended, one after another, beside everything else. */
export class RunTraces {
  readonly #deps: RunTracesDeps;
  readonly #ended: { readonly runId: string; readonly endedAt: number }[] = [];
  #working: Promise<void> | null = null;
  #isStopping = false;

  constructor(deps: RunTracesDeps) {
    this.#deps = deps;
  }

  get counts(): SpanCounts {
    return this.#deps.sender.counts;
  }

  readonly onRunEvents = (events: readonly RunEvent[]): void => {
    for (const { type, runId, createdAt } of events) {
      if (type !== "run.finished" || runId === null || this.#isStopping) continue;
      if (this.#ended.length < MAX_WAITING_RUNS) this.#ended.push({ runId, endedAt: createdAt });
      else this.counts.dropped += 1;
    }
    if (this.#ended.length > 0) this.#working ??= this.#work();
  };

  /** Sends what is known. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#working;
    await this.#deps.sender.stop();
  }

  async #work(): Promise<void> {
    const { store, sender, log } = this.#deps;
    for (let next = this.#ended.shift(); next; next = this.#ended.shift()) {
      const { runId, endedAt } = next;
      try {
        const run = await readEndedRun(store, runId, endedAt);
        if (run) sender.send(planSpans(run));
      } catch (error) {
        this.counts.dropped += 1;
        log.warn({ err: error, run_id: runId }, "a run could not be traced");
      }
    }
    this.#working = null;
  }
}
