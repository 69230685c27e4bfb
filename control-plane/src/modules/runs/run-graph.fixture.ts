import assert from "node:assert/strict";
import type { JobStatus } from "@shipfox/shared/api/runs";
import type { MatrixModel } from "../workflow/public.ts";
import { decideFinish, decideReady, isTerminal, type JobStage } from "./model.ts";

export interface GraphJob {
  readonly key: string;
  /** Keys of jobs, or of matrices. */
  readonly needs: readonly string[];
  readonly hasCondition?: boolean;
  readonly matrix?: Pick<MatrixModel, "job" | "maxParallel" | "failFast">;
  /** The key of the call that it is part of. */
  readonly within?: string;
  /** It calls a workflow: it ends after the jobs that are within it. */
  readonly isCall?: boolean;
}

interface Entry {
  readonly job: GraphJob;
  status: JobStatus;
  stage: JobStage;
  openNeeds: number;
  spoiltNeeds: number;
}

/** The jobs of a run in memory, with the books that the store keeps of them, driven by the same decisions. */
export class RunGraph {
  readonly #entries: Map<string, Entry>;
  readonly #byNode: Map<string, Entry[]>;

  constructor(jobs: readonly GraphJob[]) {
    const entries = jobs.map((job): Entry => {
      return { job, status: "pending", stage: "blocked", openNeeds: 0, spoiltNeeds: 0 };
    });
    this.#entries = new Map(entries.map((entry) => [entry.job.key, entry]));
    this.#byNode = Map.groupBy(entries, ({ job }) => nodeOf(job));
    for (const entry of entries) {
      const ofCall = entry.job.within === undefined ? 0 : 1;
      entry.openNeeds = entry.job.needs.flatMap((need) => this.#byNode.get(need) ?? []).length + ofCall;
      if (entry.openNeeds === 0) entry.stage = "ready";
    }
  }

  statusOf(key: string): JobStatus {
    return this.#entry(key).status;
  }

  /** Started, and not ended. */
  get going(): string[] {
    return [...this.#entries.values()].filter(({ stage }) => stage === "going").map(({ job }) => job.key);
  }

  get finish(): ReturnType<typeof decideFinish> {
    const entries = [...this.#entries.values()];
    const open = entries.some(({ stage }) => stage !== "over");
    return decideFinish({ open, failed: entries.some(({ status }) => status === "failed") });
  }

  /** Ends a job, and with it those of its matrix that do not outlive it, and the call of which it was the last. */
  end(key: string, status: JobStatus): void {
    const { job } = this.#end(this.#entry(key), status);
    if (job.matrix) this.#endOfMatrix(job.matrix, status);
    if (job.within !== undefined) this.#closeCall(job.within);
  }

  #closeCall(key: string): void {
    const inner = this.#inside(key);
    const open = inner.some(({ stage }) => stage !== "over");
    const finish = decideFinish({ open, failed: inner.some(({ status }) => status === "failed") });
    if (finish !== null && this.#entry(key).stage === "going") this.end(key, finish);
  }

  #inside(key: string): Entry[] {
    return [...this.#entries.values()].filter(({ job }) => job.within === key);
  }

  #endOfMatrix(matrix: NonNullable<GraphJob["matrix"]>, status: JobStatus): void {
    if (status === "failed" && matrix.failFast)
      for (const other of this.#byNode.get(matrix.job) ?? []) if (other.stage !== "over") this.#end(other, "cancelled");
    const next = this.#byNode.get(matrix.job)?.find(({ stage }) => stage === "held");
    if (next) next.stage = "ready";
  }

  /** Starts and skips until no job is ready; `accepts` is what the condition of a job says. Answers the jobs it started. */
  advance(accepts: (key: string) => boolean = () => true): string[] {
    const started: string[] = [];
    for (;;) {
      const ready = [...this.#entries.values()].filter(({ stage }) => stage === "ready");
      if (ready.length === 0) return started;
      const jobs = ready.map(({ job: { hasCondition = false, matrix }, spoiltNeeds }) => {
        return { spoilt: spoiltNeeds > 0, hasCondition, ...(matrix ? { matrix } : {}) };
      });
      const skipped: string[] = [];
      for (const [index, verdict] of decideReady(jobs, this.#goingOfMatrices()).entries()) {
        const entry = ready[index] as Entry;
        const { key } = entry.job;
        assert(entry.job.needs.every((need) => this.#byNode.get(need)?.every(({ stage }) => stage === "over") ?? true));
        if (verdict === "hold") entry.stage = "held";
        else if (verdict === "skip" || (verdict === "ask" && !accepts(key))) skipped.push(key);
        else {
          entry.stage = "going";
          if (entry.job.isCall) this.#open(key);
          started.push(key);
        }
      }
      // After all have been decided: what a skipped job leaves goes to one that is held by then.
      for (const key of skipped) this.end(key, "skipped");
    }
  }

  #open(call: string): void {
    for (const inner of this.#inside(call)) this.#settle(inner, "succeeded");
  }

  #settle(entry: Entry, status: JobStatus): void {
    entry.openNeeds -= 1;
    if (status !== "succeeded") entry.spoiltNeeds += 1;
    if (entry.openNeeds === 0 && entry.stage === "blocked") entry.stage = "ready";
  }

  #goingOfMatrices(): Map<string, number> {
    const going = [...this.#byNode].map(([node, entries]): [string, number] => {
      return [node, entries.filter(({ stage }) => stage === "going").length];
    });
    return new Map(going);
  }

  #end(entry: Entry, status: JobStatus): Entry {
    assert(!isTerminal(entry.status), `${entry.job.key} ends once`);
    entry.status = status;
    entry.stage = "over";
    for (const other of this.#entries.values()) {
      if (other.job.needs.includes(nodeOf(entry.job))) this.#settle(other, status);
    }
    // A call that ends before its jobs takes them with it.
    for (const inner of this.#inside(entry.job.key))
      if (inner.stage !== "over") this.#end(inner, status === "cancelled" ? status : "skipped");
    return entry;
  }

  #entry(key: string): Entry {
    const entry = this.#entries.get(key);
    if (!entry) throw new Error(`no job ${key}`);
    return entry;
  }
}

function nodeOf({ key, matrix }: GraphJob): string {
  return matrix?.job ?? key;
}
