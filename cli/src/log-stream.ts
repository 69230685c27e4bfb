import { logStateSchema } from "@shipfox/shared/api/logs";
import { decodeLogRecords, type LogRecord } from "@shipfox/shared/log-records";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { CliError } from "./cli-error.ts";
import { EXIT } from "./exit-codes.ts";
import { backOff, ConnectionFailure, isTransient } from "./http-transport.ts";

/** The server pings every 15 s; after this silence the connection is dead. */
const SILENCE_MS = 45_000;
/** How long a log may stay out of reach before following it is given up. */
const OUTAGE_MS = 120_000;
/** Above the largest record (4 MiB of an agent's session line) with room for the frame around it. */
const MAX_FRAME_CHARS = 16 * 1024 * 1024;

/** The connection ended in the middle: the ordinary reason to connect again. */
class Interrupted extends Error {}

export type LogStreamEvent =
  | { kind: "connected" }
  | { kind: "records"; records: LogRecord[] }
  /** The connection was lost and is being made again; nothing is lost. */
  | { kind: "reconnecting" }
  | { kind: "end"; truncated: boolean };

export interface LogStreamOptions {
  /** Opens the stream behind byte `offset`; null is the start. */
  open: (offset: number | null, signal: AbortSignal) => Promise<Response>;
  signal: AbortSignal;
  silenceMs?: number;
  outageMs?: number;
}

/**
 * Follows one log from its start to its `end`, over any number of connections: each record once and in order. Ends
 * without `end` when `signal` is aborted. Throws ApiFailure when the server refuses, ConnectionFailure after an outage of
 * `outageMs`.
 */
export async function* followLog(options: LogStreamOptions): AsyncGenerator<LogStreamEvent, void> {
  const { signal, outageMs = OUTAGE_MS, silenceMs = SILENCE_MS } = options;
  const position = new LogPosition();
  let failures = 0;
  let lastContact = performance.now();
  while (!signal.aborted) {
    let failure: CliError | undefined;
    try {
      for await (const message of readConnection(options, position.offset, silenceMs)) {
        if (message === "open") {
          yield { kind: "connected" };
          continue;
        }
        // An open connection proves nothing yet: a proxy may accept and close for ever.
        lastContact = performance.now();
        failures = 0;
        if (message !== "ping") {
          const state = message.event === "state" ? logStateSchema.parse(JSON.parse(message.data)) : null;
          if (state?.state === "end") {
            yield { kind: "end", truncated: state.truncated };
            return;
          }
          const records = message.event === "log" ? position.accept(message) : [];
          if (records.length > 0) yield { kind: "records", records };
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      failure = error instanceof Interrupted ? undefined : asStreamError(error);
      if (failure !== undefined && !isTransient(failure)) throw failure;
      // The server is there; a place among the open streams comes when another log ends.
      if (failure?.code === "too-many-streams") lastContact = performance.now();
    }
    if (signal.aborted) return;
    failures += 1;
    if (performance.now() - lastContact > outageMs) {
      throw failure ?? new ConnectionFailure("the log stream", "the connection was cut again and again");
    }
    yield { kind: "reconnecting" };
    await backOff(failures, signal, failure).catch(() => undefined);
  }
}

/**
 * How far the log was read. Only whole frames arrive here, so the offset of the newest one says exactly what came; a
 * frame that ends before it is a repetition. Tombstones (`capped`, `runner_lost`) are made on reading and take no bytes.
 */
class LogPosition {
  offset: number | null = null;
  readonly #tombstones = new Set<string>();

  accept(message: EventSourceMessage): LogRecord[] {
    const end = Number(message.id);
    if (message.id === undefined || !Number.isSafeInteger(end) || end < 0) {
      throw unreadable(`a frame has the id "${message.id ?? ""}"`);
    }
    const records = decodeLogRecords(message.data);
    const repeated = this.offset !== null && end <= this.offset;
    if (!repeated) this.offset = end;
    return records.filter((record) => (isTombstone(record) ? this.#isNew(record.type) : !repeated));
  }

  #isNew(tombstone: string): boolean {
    if (this.#tombstones.has(tombstone)) return false;
    this.#tombstones.add(tombstone);
    return true;
  }
}

function isTombstone(record: LogRecord): boolean {
  return record.type === "capped" || record.type === "runner_lost";
}

type ConnectionMessage = "open" | "ping" | EventSourceMessage;

async function* readConnection(
  options: LogStreamOptions,
  offset: number | null,
  silenceMs: number,
): AsyncGenerator<ConnectionMessage, void> {
  const silence = new AbortController();
  const response = await options.open(offset, AbortSignal.any([options.signal, silence.signal]));
  if (!response.body) throw unreadable("the answer has no body");
  yield "open";

  const messages: ConnectionMessage[] = [];
  const parser = createParser({
    onEvent: (message) => messages.push(message),
    onComment: () => messages.push("ping"),
    maxBufferSize: MAX_FRAME_CHARS,
  });
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  try {
    for (;;) {
      const timer = setTimeout(() => silence.abort(), silenceMs);
      const chunk = await reader
        .read()
        .catch((error: unknown) => Promise.reject(new Interrupted("connection cut", { cause: error })))
        .finally(() => clearTimeout(timer));
      if (chunk.done) return;
      parser.feed(decoder.decode(chunk.value, { stream: true }));
      yield* messages.splice(0);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function asStreamError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  return unreadable(error instanceof Error ? error.message : String(error), error);
}

function unreadable(reason: string, cause?: unknown): CliError {
  return new CliError(`The log stream cannot be read: ${reason}.`, {
    exitCode: EXIT.api,
    code: "unexpected-reply",
    cause,
  });
}
