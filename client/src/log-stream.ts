import { logStateSchema } from "@shipfox/shared/api/logs";
import { decodeLogRecords, type LogRecord } from "@shipfox/shared/log-records";
import type { EventSourceMessage } from "eventsource-parser";
import { type ConnectionSign, followStream, type StreamOptions } from "./event-source.ts";

type LogItem =
  | { readonly kind: "records"; readonly records: LogRecord[] }
  /** `truncated`: the runner stopped reporting. */
  | { readonly kind: "end"; readonly truncated: boolean };

export type LogStreamItem = LogItem | ConnectionSign;

/** Opens the stream behind `lastId`. */
export type OpenStream = (lastId: string | null, signal: AbortSignal) => Promise<Response>;

/** Follows one log to its `end`: each record once and in order. See `followStream`. */
export function followLog(open: OpenStream, options: StreamOptions): AsyncGenerator<LogStreamItem, void> {
  const position = new LogPosition();
  return followStream<LogItem>(
    {
      name: "the log stream",
      open: (signal) => open(position.offset === null ? null : String(position.offset), signal),
      read: (message) => {
        if (message.event === "state") {
          const state = logStateSchema.parse(JSON.parse(message.data));
          return state.state === "end" ? [{ kind: "end", truncated: state.truncated }] : [];
        }
        const records = message.event === "log" ? position.accept(message) : [];
        return records.length > 0 ? [{ kind: "records", records }] : [];
      },
      isEnd: ({ kind }) => kind === "end",
    },
    options,
  );
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
    if (message.id === undefined || !Number.isSafeInteger(end) || end < 0)
      throw new Error(`a frame has the id "${message.id ?? ""}"`);
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
