import type { Logger } from "pino";
import type { Engine } from "./engine.ts";
import { ExecStream } from "./exec-stream.ts";

/** Kept ready between steps, whatever there was at the start: so that short steps in a row do not wait for new shells. */
const KEPT_READY = 3;

/** The engine holds back the news of a step's end while it starts another process: start none beside a short step. */
const FILL_DELAY_MS = 100;

/** Makes a shell whose input ends, or breaks off, before a step was given to it end as a failure, not as an empty success. */
const UNUSED_EXIT_CODE = 125;
const OPENING = `trap 'exit ${UNUSED_EXIT_CODE}' 0\n`;

/**
 * Shells started ahead that wait on their standard input: a step starts by writing to one, in milliseconds instead of the
 * engine's tens. Each is used once.
 */
export class Gates {
  readonly #engine: Engine;
  readonly #containerId: string;
  readonly #user: string;
  readonly #logger: Logger;
  #waiting: Promise<ExecStream | null>[] = [];
  /** Those of them that have started. */
  readonly #started = new Set<ExecStream>();
  #fillTimer: NodeJS.Timeout | null = null;

  constructor(engine: Engine, containerId: string, user: string, logger: Logger) {
    this.#engine = engine;
    this.#containerId = containerId;
    this.#user = user;
    this.#logger = logger;
  }

  /** Fills when no step has started or ended for a while. */
  fillSoon(): void {
    if (this.#fillTimer !== null) clearTimeout(this.#fillTimer);
    this.#fillTimer = setTimeout(() => this.fill(KEPT_READY), FILL_DELAY_MS);
  }

  /** Starts what is missing, without waiting for it; one after another, because the first is the one that is needed. */
  fill(count: number): void {
    while (this.#waiting.length < count) {
      const before = this.#waiting.at(-1);
      this.#waiting.push(before === undefined ? this.#start() : before.then(() => this.#start()));
    }
  }

  async ready(): Promise<void> {
    await Promise.all(this.#waiting);
  }

  /** Whether a shell waits whose connection the engine keeps, so the container runs. */
  get hasOpen(): boolean {
    return [...this.#started].some((gate) => !gate.isClosed);
  }

  /** A shell that waits, or null: then the caller starts one the plain way. */
  async take(): Promise<ExecStream | null> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      const gate = await next;
      if (gate) this.#started.delete(gate);
      if (gate && !gate.isClosed) return gate;
      gate?.destroy();
    }
    return null;
  }

  /** Lets all waiting shells end; `fill` starts anew. */
  close(): void {
    if (this.#fillTimer !== null) clearTimeout(this.#fillTimer);
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#started.clear();
    for (const gate of waiting) void gate.then((stream) => stream?.destroy());
  }

  async #start(): Promise<ExecStream | null> {
    try {
      const execId = await this.#engine.createExec(this.#containerId, {
        Cmd: ["/bin/sh", "-s"],
        User: this.#user,
        AttachStdin: true,
        AttachStdout: true,
        AttachStderr: true,
      });
      const gate = await ExecStream.start(this.#engine, execId, true);
      gate.write(OPENING);
      this.#started.add(gate);
      return gate;
    } catch (error) {
      this.#logger.debug({ err: error }, "cannot start a shell ahead");
      return null;
    }
  }
}
