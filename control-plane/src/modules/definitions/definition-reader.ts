import { Worker } from "node:worker_threads";
import { ApiError } from "@shipfox/shared/errors";
import { type ReadResult, readDefinition } from "./model.ts";

/** Below this a file cannot hold the event loop for long and is read at once. */
const INLINE_CHARS = 16_384;
/** A file that takes longer is hostile: a million characters of honest YAML take a fraction of it. */
const READ_TIMEOUT_MS = 10_000;
const MAX_WAITING = 64;
/** Keeps a hostile file from taking the whole process's memory; the thread ends instead. */
const MAX_HEAP_MIB = 512;
/** Somebody who edits a large file sends it again and again, and a thread that has just started takes four times as long. */
const KEEP_IDLE_MS = 60_000;

/**
 * Reads workflow files without holding up the others: a large one in a thread of its own, one at a time, with a deadline
 * and a bound on memory. The thread starts when it is first needed and ends when it was not needed for a while.
 */
export class DefinitionReader {
  readonly #defaultRunnerLabels: readonly string[];
  #thread: Worker | null = null;
  #idle: NodeJS.Timeout | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(defaultRunnerLabels: readonly string[]) {
    this.#defaultRunnerLabels = defaultRunnerLabels;
  }

  /** The file as it was written, its names and values; null when it has a fault. Throws what `read` throws. */
  async readDocument(yaml: string): Promise<unknown> {
    const result = await this.read(yaml);
    return result.ok ? JSON.parse(result.content.document) : null;
  }

  /** Throws 400 `invalid-workflow-definition` for a file that cannot be read in time, 503 `overloaded` when too many wait. */
  async read(yaml: string): Promise<ReadResult> {
    if (yaml.length <= INLINE_CHARS) return readDefinition(yaml, this.#defaultRunnerLabels);
    if (this.#waiting >= MAX_WAITING) throw new ApiError("overloaded", "too many large workflow files wait to be read");
    this.#waiting += 1;
    const turn = this.#last.then(() => this.#readInThread(yaml));
    this.#last = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      this.#waiting -= 1;
    }
  }

  /** Ends the thread; a file that it is reading is given up. */
  async close(): Promise<void> {
    await this.#endThread();
  }

  async #readInThread(yaml: string): Promise<ReadResult> {
    clearTimeout(this.#idle);
    const thread = (this.#thread ??= this.#startThread());
    try {
      const result = await answerOf(thread, yaml);
      this.#idle = setTimeout(() => void this.#endThread(), KEEP_IDLE_MS).unref();
      return result;
    } catch (error) {
      await this.#endThread();
      throw error;
    }
  }

  #startThread(): Worker {
    const thread = new Worker(new URL("./definition-reader.thread.ts", import.meta.url), {
      workerData: this.#defaultRunnerLabels,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
    });
    // An error that nobody waits for would end the process.
    thread.on("error", () => {});
    thread.once("exit", () => {
      if (this.#thread === thread) this.#thread = null;
    });
    return thread;
  }

  async #endThread(): Promise<void> {
    clearTimeout(this.#idle);
    const thread = this.#thread;
    this.#thread = null;
    await thread?.terminate();
  }
}

/** Rejects when the deadline passes or the thread ends. It holds the process only while it reads. */
async function answerOf(thread: Worker, yaml: string): Promise<ReadResult> {
  const answer = Promise.withResolvers<ReadResult>();
  const giveUp = () => {
    const message = "the workflow takes too long to read; make it smaller or simpler";
    answer.reject(new ApiError("invalid-workflow-definition", message));
  };
  const deadline = setTimeout(giveUp, READ_TIMEOUT_MS);
  thread.on("message", answer.resolve).on("exit", giveUp).ref();
  thread.postMessage(yaml);
  try {
    return await answer.promise;
  } finally {
    clearTimeout(deadline);
    thread.off("message", answer.resolve).off("exit", giveUp).unref();
  }
}
