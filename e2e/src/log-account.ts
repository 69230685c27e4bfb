import type { LogRecord } from "@shipfox/shared/log-records";

/** What of a log is there, what was dropped, and what its end says of both. */
export function accountOf(records: readonly LogRecord[]) {
  const output = records.flatMap((record) => (record.type === "output" ? [record.data] : []));
  const gaps = records.flatMap((record) => (record.type === "gap" ? [record.dropped_bytes] : []));
  const end = records.at(-1);
  return {
    keptBytes: output.reduce((sum, data) => sum + Buffer.byteLength(data), 0),
    gaps,
    endBytes: end?.type === "end" ? end.total_bytes : null,
    tail: output.slice(-2).join(""),
  };
}

export const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
