import type { LogState } from "@shipfox/shared/api/logs";
import type { LogRecord } from "@shipfox/shared/log-records";
import { encodeFrame } from "../../http/sse.ts";

/** Within the text of a record the quotes are escaped, so few records hold this that are no gap. */
const GAP = '"gap"';

/** Whole records as one event; `id` is the cursor behind them. A gap among them is told before them. */
export function encodeLogFrame(records: Buffer, id: number): Buffer {
  const data = records.toString("utf8", 0, records.length - 1);
  const gaps = records.includes(GAP) ? gapsIn(data).map(encodeState) : [];
  return Buffer.from(gaps.join("") + encodeFrame({ event: "log", id, data }));
}

/** Without an id: whoever is cut off behind it is told again. */
export function encodeState(state: LogState): string {
  return encodeFrame({ event: "state", data: JSON.stringify(state) });
}

function gapsIn(ndjson: string): LogState[] {
  return ndjson
    .split("\n")
    .filter((line) => line.includes(GAP))
    .map((line) => JSON.parse(line) as LogRecord)
    .flatMap((record) =>
      record.type === "gap" ? [{ state: "gap" as const, dropped_bytes: record.dropped_bytes }] : [],
    );
}
