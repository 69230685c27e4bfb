import type { Duplex } from "node:stream";
import type { OutputChunk } from "../pump-output.ts";
import { SandboxError } from "../sandbox-error.ts";
import { type Engine, pause } from "./engine.ts";

const FRAME_HEADER_BYTES = 8;
const STDERR = 2;

/** Takes the engine's frames apart without collecting them: a frame's parts are passed on as they arrive. */
export async function* readFrames(source: AsyncIterable<Buffer>): AsyncGenerator<OutputChunk> {
  let header = Buffer.alloc(0);
  let stream: OutputChunk["stream"] = "stdout";
  let left = 0;
  for await (const data of source) {
    let rest = data;
    while (rest.length > 0) {
      if (left === 0) {
        const needed = FRAME_HEADER_BYTES - header.length;
        header = Buffer.concat([header, rest.subarray(0, needed)]);
        rest = rest.subarray(needed);
        if (header.length < FRAME_HEADER_BYTES) break;
        stream = header[0] === STDERR ? "stderr" : "stdout";
        left = header.readUInt32BE(4);
        header = Buffer.alloc(0);
        continue;
      }
      const chunk = rest.subarray(0, left);
      rest = rest.subarray(chunk.length);
      left -= chunk.length;
      yield { stream, chunk };
    }
  }
}

/** A started `exec`: its output, its input, and whether it is still there. */
export class ExecStream {
  readonly execId: string;
  readonly #stream: Duplex;
  readonly #output: AsyncGenerator<OutputChunk>;
  readonly #first: Promise<IteratorResult<OutputChunk>>;
  readonly closed: Promise<void>;
  #isClosed = false;

  private constructor(execId: string, stream: Duplex) {
    this.execId = execId;
    this.#stream = stream;
    this.#output = readFrames(stream);
    // Reading starts at once, so that the end of a waiting shell is noticed before a step is given to it.
    this.#first = this.#output.next();
    this.#first.catch(() => {});
    this.closed = new Promise((resolve) => {
      const close = () => {
        this.#isClosed = true;
        resolve();
      };
      stream.once("end", close);
      stream.once("close", close);
    });
    // A connection that breaks ends the output; what became of the process is for the engine to say.
    stream.on("error", () => {});
  }

  static async start(engine: Engine, execId: string, stdin: boolean): Promise<ExecStream> {
    return new ExecStream(execId, await engine.startExec(execId, stdin));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  write(text: string): void {
    this.#stream.write(text);
  }

  async *output(): AsyncGenerator<OutputChunk> {
    try {
      for (let next = await this.#first; !next.done; next = await this.#output.next()) yield next.value;
    } catch {
      // Broken off: as above.
    }
  }

  destroy(): void {
    this.#stream.destroy();
  }
}

const FIRST_POLL_MS = 25;
const MAX_POLL_MS = 250;
const POLL_AFTER_CLOSE_MS = 1;
/** With the growing pauses a few seconds. */
const MAX_POLLS_UNSTARTED = 20;

/**
 * The exit code of an `exec`, as the engine reports it. The end of the stream usually tells first; but background processes
 * can hold the stream open, and a process can close it and run on, so the engine is asked, less and less often.
 */
export async function waitForExit(engine: Engine, exec: ExecStream): Promise<number> {
  let delayMs = FIRST_POLL_MS;
  let sawClose = false;
  let pollsUnstarted = 0;
  for (;;) {
    if (exec.isClosed && !sawClose) {
      sawClose = true;
      delayMs = POLL_AFTER_CLOSE_MS;
    } else {
      await (sawClose ? pause(delayMs) : Promise.race([pause(delayMs), exec.closed]));
      delayMs = Math.min(delayMs * 2, MAX_POLL_MS);
      if (exec.isClosed && !sawClose) continue;
    }
    const { running, exitCode } = await engine.inspectExec(exec.execId);
    if (exitCode !== null) return exitCode;
    if (!running && sawClose && ++pollsUnstarted > MAX_POLLS_UNSTARTED) {
      throw new SandboxError("start_failed", "Docker did not start a step's process and gives no reason.");
    }
  }
}
