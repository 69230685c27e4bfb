import { setImmediate as turn } from "node:timers/promises";
import type { Logger } from "@shipfox/shared/logger";
import { encodeFrame, type SseStream } from "../../http/sse.ts";
import type { Clock } from "../../store/clock.ts";
import type { RunEvent, Store } from "../../store/store.ts";
import { attemptOf, followLog, type LogPiece, type Logs, type StepLookup } from "../logs/public.ts";

/** Logs that one stream has open at once: each is part of the cursor of every frame. */
const MAX_OPEN_LOGS = 256;
/** About this much of a log is sent before the others get their turn. */
const PIECE_BYTES = 32 * 1024;

export interface RunLogsDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly logs: Logs;
  readonly steps: StepLookup;
}

/** How far one log was sent. `startedBy` is the number of the event with which its step attempt started. */
export interface LogPlace {
  readonly startedBy: number;
  readonly offset: number;
}

/** The logs of a run's steps beside its events, in one stream: each from the event with which its step attempt started. */
export class RunLogs {
  readonly #deps: RunLogsDeps;
  readonly #runId: string;
  readonly #sse: SseStream;
  /** By the number of the event: how far they were sent. */
  readonly #open = new Map<number, number>();
  readonly #following = new Set<Promise<void>>();
  #lastEvent: number;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(deps: RunLogsDeps, runId: string, sse: SseStream, lastEvent: number) {
    this.#deps = deps;
    this.#runId = runId;
    this.#sse = sse;
    this.#lastEvent = lastEvent;
  }

  get isFull(): boolean {
    return this.#open.size >= MAX_OPEN_LOGS;
  }

  /** The id of the next frame: everything up to it was sent. */
  get cursor(): string {
    return [this.#lastEvent, ...[...this.#open].map(([startedBy, offset]) => `${startedBy}:${offset}`)].join("~");
  }

  /** An event is about to be sent. */
  note(event: RunEvent): void {
    this.#lastEvent = event.id;
    if (event.type === "step.started") this.follow(event, 0);
  }

  /** `started` is the `step.started` of the step attempt. */
  follow(started: RunEvent, offset: number): void {
    const { stepId } = started;
    const { attempt } = started.payload as { attempt: number };
    if (!stepId) return;
    this.#open.set(started.id, offset);
    const following = this.#follow(started.id, stepId, attempt, offset)
      .catch((error: unknown) => {
        // The reader comes back with its cursor.
        this.#deps.log.warn({ err: error, step_id: stepId, attempt }, "a log could not be followed to its end");
        this.#sse.end();
      })
      .finally(() => {
        this.#open.delete(started.id);
        this.#following.delete(following);
      });
    this.#following.add(following);
  }

  /** Settles when fewer logs are open than may be. */
  async room(): Promise<void> {
    while (this.isFull && !this.#sse.closed) await Promise.race(this.#following);
  }

  /** Settles when the logs that are open have ended. */
  async ended(): Promise<void> {
    while (this.#following.size > 0) await Promise.all(this.#following);
  }

  async #follow(startedBy: number, stepId: string, attempt: number, cursor: number): Promise<void> {
    const { logs, clock } = this.#deps;
    const sse = this.#sse;
    const find = () => attemptOf(this.#deps, stepId, attempt);
    await followLog(
      logs,
      {
        get closed() {
          return sse.closed;
        },
        opened: () => {},
        write: (piece) => this.#send(startedBy, stepId, attempt, piece),
        drained: () => this.#drained(),
        onClose: (callback) => sse.onClose(callback),
      },
      { attempt: await find(), cursor, find, now: () => clock.now(), pieceBytes: PIECE_BYTES },
    );
  }

  #send(startedBy: number, stepId: string, attempt: number, { records, next }: LogPiece): boolean {
    this.#open.set(startedBy, next);
    const id = this.cursor;
    const createdAt = new Date(this.#deps.clock.now()).toISOString();
    const note = { id, type: "log", run_id: this.#runId, created_at: createdAt };
    const place = { step_id: stepId, attempt, offset: next };
    // The records are JSON already, one a line.
    const lines = records.toString("utf8", 0, records.length - 1).replaceAll("\n", ",");
    const data = `${JSON.stringify(note).slice(0, -1)},"payload":${JSON.stringify(place).slice(0, -1)},"records":[${lines}]}}`;
    return this.#sse.write(encodeFrame({ id, event: "log", data }));
  }

  /** The histories of many logs go out one piece after another. */
  #drained(): Promise<void> {
    const before = this.#turn;
    const mine = before.then(() => this.#sse.drained());
    this.#turn = mine.then(() => turn());
    return mine;
  }
}
