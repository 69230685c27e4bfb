import type { LogRecord } from "@shipfox/shared/log-records";
import type { Logs } from "./logs.ts";
import type { StreamRef } from "./model.ts";
import { readRecords } from "./read-records.ts";

const PIECE_BYTES = 1024 * 1024;

/** What the step printed, both streams in their order, up to where the log ends at the moment. */
export async function* readOutput(logs: Logs, stream: StreamRef): AsyncGenerator<string> {
  const { stored } = await logs.streams.state(stream);
  for (let cursor = 0; cursor < stored; ) {
    const records = await readRecords(logs.files, stream, { cursor, end: stored, aboutBytes: PIECE_BYTES });
    cursor += records.length;
    const output = outputOf(records);
    if (output !== "") yield output;
  }
}

/** The records were checked when they arrived. */
function outputOf(records: Buffer): string {
  const lines = records.toString("utf8", 0, records.length - 1).split("\n");
  return lines
    .map((line) => JSON.parse(line) as LogRecord)
    .reduce((text, record) => (record.type === "output" ? text + record.data : text), "");
}
