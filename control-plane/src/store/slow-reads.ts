import { Worker } from "node:worker_threads";
import { overloaded, type StoreError, storeUnavailable } from "./errors.ts";
import { MAX_WAITING, SLOW_READ_TIMEOUT_MS, type SqlValue } from "./store.ts";

/** To the thread: one statement. */
export interface SlowRead {
  id: number;
  sql: string;
  params: readonly SqlValue[];
}

/** From the thread: the rows, or why there are none. */
export type SlowReadAnswer = { id: number; rows: unknown[] } | { id: number; error: string };

interface Waiting {
  resolve: (rows: unknown[]) => void;
  reject: (error: unknown) => void;
  deadline: NodeJS.Timeout;
}

/**
 * Reads that would block the event loop, in a thread with a read-only connection of its own. The thread starts with the
 * first of them. SQLite cannot be interrupted from here: after a missed deadline the thread is given up, and there is
 * no other one until its statement has ended, so that there are never two.
 */
export class SlowReads {
  readonly #databasePath: string;
  readonly #timeoutMs: number;
  readonly #waiting = new Map<number, Waiting>();
  #thread: Worker | undefined;
  #lastId = 0;
  #ending: Promise<unknown> | undefined;
  #closed = false;

  constructor(databasePath: string, timeoutMs: number = SLOW_READ_TIMEOUT_MS) {
    this.#databasePath = databasePath;
    this.#timeoutMs = timeoutMs;
  }

  run<Row>(sql: string, params: readonly SqlValue[]): Promise<Row[]> {
    if (this.#closed) return Promise.reject(storeUnavailable("it is closing"));
    if (this.#ending) return Promise.reject(storeUnavailable("a read that took too long still runs"));
    if (this.#waiting.size >= MAX_WAITING) return Promise.reject(overloaded(this.#waiting.size));
    const thread = (this.#thread ??= this.#start());
    const id = ++this.#lastId;
    return new Promise<Row[]>((resolve, reject) => {
      const late = () => this.#abandon(thread, storeUnavailable("a read took too long"));
      const deadline = setTimeout(late, this.#timeoutMs);
      this.#waiting.set(id, { resolve: resolve as (rows: unknown[]) => void, reject, deadline });
      thread.postMessage({ id, sql, params } satisfies SlowRead);
    });
  }

  /** Answers everybody who waits, and settles once the thread has ended, which its running statement may delay. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#abandon(this.#thread, storeUnavailable("it is closing"));
    await this.#ending;
  }

  #start(): Worker {
    const thread = new Worker(new URL("./slow-reads.thread.ts", import.meta.url), { workerData: this.#databasePath });
    thread.unref();
    thread.on("message", (answer: SlowReadAnswer) => this.#settle(answer));
    const lost = (error: unknown) => this.#abandon(thread, storeUnavailable("the reader thread ended", error));
    thread.on("error", lost);
    thread.on("exit", lost);
    return thread;
  }

  #settle(answer: SlowReadAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    if (!waiting) return;
    this.#waiting.delete(answer.id);
    clearTimeout(waiting.deadline);
    if ("rows" in answer) waiting.resolve(answer.rows);
    else waiting.reject(new Error(answer.error));
  }

  /** Answers everybody who waits for this thread and forgets it. */
  #abandon(thread: Worker | undefined, error: StoreError): void {
    if (!thread || thread !== this.#thread) return;
    this.#thread = undefined;
    for (const { reject, deadline } of this.#waiting.values()) {
      clearTimeout(deadline);
      reject(error);
    }
    this.#waiting.clear();
    this.#ending = thread.terminate().finally(() => (this.#ending = undefined));
  }
}
