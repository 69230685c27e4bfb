import type { LogRecord } from "@shipfox/shared/log-records";
import { LogText } from "@shipfox/shared/log-text";
import type { Logs } from "./logs.ts";
import { type StreamRef, tombstonesAfter } from "./model.ts";
import { readRecords } from "./read-records.ts";

const PIECE_BYTES = 1024 * 1024;

/**
 * What the step printed, both streams in their order, up to where the log ends at the moment. A line marks each place
 * where something is missing.
 */
export async function* readOutput(logs: Logs, stream: StreamRef, now: number): AsyncGenerator<string> {
  const state = await logs.streams.state(stream);
  const text = new LogText();
  for (let cursor = 0; cursor < state.stored; ) {
    const records = await readRecords(logs.files, stream, { cursor, end: state.stored, aboutBytes: PIECE_BYTES });
    cursor += records.length;
    const output = text.push(parseRecords(records.toString("utf8")));
    if (output !== "") yield output;
  }
  const tombstones = tombstonesAfter(state, state.stored, now).map(({ line }) => line);
  if (tombstones.length > 0) yield text.push(parseRecords(tombstones.join("")));
}

/** The records were checked when they arrived. */
function parseRecords(ndjson: string): LogRecord[] {
  return ndjson
    .slice(0, -1)
    .split("\n")
    .map((line) => JSON.parse(line) as LogRecord);
}
