import { jobStatusSchema, runStatusSchema } from "@shipfox/shared/api/runs";
import { infrastructureCauseSchema } from "@shipfox/shared/failure";
import type { RunEvent } from "../store/store.ts";
import type { Samples } from "./table.ts";

const RUN_ENDS = runStatusSchema.extract(["succeeded", "failed", "cancelled"]).options;
const JOB_ENDS = jobStatusSchema.extract(["succeeded", "failed", "cancelled", "skipped"]).options;

/** What became of runs and jobs since this process started, counted from the committed events. */
export class EventCounts {
  #runsCreated = 0;
  readonly #runEnds = new Map<string, number>();
  readonly #jobEnds = new Map<string, number>();
  readonly #losses = new Map<string, number>();

  readonly onRunEvents = (events: readonly RunEvent[]): void => {
    for (const { type, payload } of events) {
      if (type === "run.created" || type === "run.rerun") this.#runsCreated += 1;
      if (type === "run.finished") countIn(this.#runEnds, textOf(payload, "status"));
      if (type === "job.finished") countIn(this.#jobEnds, textOf(payload, "status"));
      if (type === "job.finished" || type === "job.execution_finished") countIn(this.#losses, textOf(payload, "cause"));
    }
  };

  get samples() {
    return {
      runs_created_total: [{ value: this.#runsCreated }],
      runs_finished_total: RUN_ENDS.map((status) => sampleOf(this.#runEnds, { status })),
      jobs_finished_total: JOB_ENDS.map((status) => sampleOf(this.#jobEnds, { status })),
      jobs_lost_total: infrastructureCauseSchema.options.map((cause) => sampleOf(this.#losses, { cause })),
    } satisfies Partial<Samples>;
  }
}

function textOf(payload: RunEvent["payload"], name: string): string | undefined {
  const value = (payload as Record<string, unknown>)[name];
  return typeof value === "string" ? value : undefined;
}

function countIn(counts: Map<string, number>, key: string | undefined): void {
  if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + 1);
}

function sampleOf(counts: ReadonlyMap<string, number>, labels: Record<string, string>) {
  return { labels, value: counts.get(Object.values(labels)[0] as string) ?? 0 };
}
