import type { LogState } from "@shipfox/shared/api/logs";
import type { LogRecord } from "@shipfox/shared/log-records";
import { encodeFrame } from "../../http/sse.ts";

/** Within the text of a record the quotes are escaped, so few records hold these that are no gap. */
const GAP_TYPES = ['"gap"', '"capped"'];

/** Whole records as one event; `id` is the cursor behind them. A gap among them is told before them. */
export function encodeLogFrame(records: Buffer, id: number): Buffer {
  const data = records.toString("utf8", 0, records.length - 1);
  const gaps = GAP_TYPES.some((type) => records.includes(type)) ? gapsIn(data).map(encodeState) : [];
  return Buffer.from(gaps.join("") + encodeFrame({ event: "log", id, data }));
}

/** Without an id: whoever is cut off behind it is told again. */
export function encodeState(state: LogState): string {
  return encodeFrame({ event: "state", data: JSON.stringify(state) });
}

function gapsIn(ndjson: string): LogState[] {
  return ndjson
    .split("\n")
    .filter((line) => GAP_TYPES.some((type) => line.includes(type)))
    .map((line) => JSON.parse(line) as LogRecord)
    .flatMap((record): LogState[] => {
      if (record.type === "gap") return [{ state: "gap", dropped_bytes: record.dropped_bytes }];
      return record.type === "capped" ? [{ state: "gap", dropped_bytes: null }] : [];
    });
}
