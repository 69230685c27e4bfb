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

/** To the thread. */
export interface ReadRequest {
  readonly yaml: string;
  readonly defaultRunnerLabels: readonly string[];
}

/**
 * Reads workflow files without holding up the others: a large one in a thread of its own, one at a time, with a deadline
 * and a bound on memory.
 */
export class DefinitionReader {
  readonly #defaultRunnerLabels: readonly string[];
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
    const turn = this.#last.then(() => readInThread({ yaml, defaultRunnerLabels: this.#defaultRunnerLabels }));
    this.#last = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      this.#waiting -= 1;
    }
  }
}

async function readInThread(request: ReadRequest): Promise<ReadResult> {
  const thread = new Worker(new URL("./definition-reader.thread.ts", import.meta.url), {
    workerData: request,
    resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
  });
  const answer = new Promise<ReadResult>((resolve, reject) => {
    const tooMuch = () =>
      reject(
        new ApiError("invalid-workflow-definition", "the workflow takes too long to read; make it smaller or simpler"),
      );
    const deadline = setTimeout(tooMuch, READ_TIMEOUT_MS);
    thread.once("message", resolve);
    thread.once("error", tooMuch);
    thread.once("exit", () => {
      clearTimeout(deadline);
      tooMuch();
    });
  });
  try {
    return await answer;
  } finally {
    await thread.terminate();
  }
}
