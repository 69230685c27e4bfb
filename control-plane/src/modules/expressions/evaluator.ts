import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { ApiError } from "@shipfox/shared/errors";
import type { WriteTx } from "../../store/store.ts";
import {
  type CoercedOutputs,
  type Evaluated,
  type Evaluation,
  evaluate,
  isPlain,
  type OutputCheck,
} from "../workflow/public.ts";
import type { Task, TaskResult } from "./task.ts";

/** Processor time of one task. Nobody needs more for an honest expression; one that does is hostile, or would hold up all others. */
const DEADLINE_MS = 100;
/** Wall time after which a task is given up whatever it used: far more than its deadline, also on a busy machine. */
const LIMIT_MS = 10_000;
const MAX_WAITING = 1_024;
/** Keeps a hostile expression from taking the whole process's memory; the thread ends instead. */
const MAX_HEAP_MIB = 128;

const TOO_LONG = `expression-timeout: it takes more than ${DEADLINE_MS} ms, or too much memory`;

/**
 * Evaluates what users write. Simple expressions at once; all others in a thread of their own, one after another, each with a
 * deadline and a bound on memory, so that none holds up anybody else. The thread starts when it is first needed.
 */
export class Evaluator {
  #thread: Worker | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #closed = false;

  /** Never rejects because of what an expression says. Throws 503 `overloaded` when too many wait. */
  async evaluate(evaluation: Evaluation): Promise<Evaluated[]> {
    if (isPlain(evaluation)) return evaluate(evaluation);
    const result = await this.#perform({ evaluation });
    return result === null
      ? evaluation.expressions.map(() => ({ ok: false, message: TOO_LONG }))
      : (result as Evaluated[]);
  }

  /** As `evaluate`, in a unit of the store: see `WriteTx.outside`. */
  evaluateIn(tx: WriteTx, evaluation: Evaluation): Evaluated[] {
    if (evaluation.expressions.length === 0) return [];
    if (isPlain(evaluation)) return evaluate(evaluation);
    return tx.outside(`evaluate ${JSON.stringify(evaluation)}`, () => this.evaluate(evaluation));
  }

  /** Outputs of a step as their declaration wants them. */
  coerceIn(tx: WriteTx, outputs: OutputCheck): CoercedOutputs {
    return tx.outside(`coerce ${JSON.stringify(outputs)}`, async () => {
      const result = await this.#perform({ outputs });
      return result === null ? { ok: false, message: TOO_LONG } : (result as CoercedOutputs);
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
    await this.#endThread();
  }

  /** Null when the deadline passed, or the thread ended. */
  async #perform(task: Task): Promise<TaskResult | null> {
    if (this.#closed || this.#waiting >= MAX_WAITING)
      throw new ApiError("overloaded", "too many expressions wait to be evaluated; try again later");
    this.#waiting += 1;
    const turn = this.#last.then(() => this.#ask(task));
    this.#last = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      this.#waiting -= 1;
    }
  }

  async #ask(task: Task): Promise<TaskResult | null> {
    try {
      const thread = (this.#thread ??= await startThread());
      return await answerOf(thread, task);
    } catch {
      await this.#endThread();
      return null;
    }
  }

  async #endThread(): Promise<void> {
    const thread = this.#thread;
    this.#thread = null;
    await thread?.terminate();
  }
}

/** A thread that has loaded all it needs: loading is no task's time. */
async function startThread(): Promise<Worker> {
  const thread = new Worker(new URL("./evaluator.thread.ts", import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  });
  // An error that nobody waits for would end the process; the next task finds a thread that has ended.
  thread.on("error", () => {});
  try {
    await once(thread, "message", { signal: AbortSignal.timeout(LIMIT_MS) });
    thread.unref();
    return thread;
  } catch (error) {
    await thread.terminate();
    throw error;
  }
}

/** Rejects when the task takes more processor time than its deadline, or the thread ends. */
async function answerOf(thread: Worker, task: Task): Promise<TaskResult> {
  const before = await thread.cpuUsage();
  return new Promise((resolve, reject) => {
    const givenUpAt = performance.now() + LIMIT_MS;
    const check = async () => {
      const { user, system } = await thread.cpuUsage(before);
      if ((user + system) / 1_000 >= DEADLINE_MS || performance.now() >= givenUpAt) fail();
    };
    const watch = setInterval(() => void check().catch(fail), DEADLINE_MS);
    const finish = () => {
      clearInterval(watch);
      thread.off("message", settle).off("error", fail).off("exit", fail);
    };
    const settle = (answer: TaskResult) => {
      finish();
      resolve(answer);
    };
    const fail = () => {
      finish();
      reject(new Error("the task was given up"));
    };
    thread.on("message", settle).on("error", fail).on("exit", fail);
    thread.postMessage(task);
  });
}
