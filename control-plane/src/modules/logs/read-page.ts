import type { LogPage } from "@shipfox/shared/api/logs";
import { type Attempt, noSuchLog } from "./find-attempt.ts";
import type { Logs } from "./logs.ts";
import { type StreamRef, tombstonesAfter } from "./model.ts";
import { readRecords } from "./read-records.ts";

/** About this much of a log is in one page. */
const PAGE_BYTES = 1024 * 1024;

/** A page of whole records. Throws 404 `not-found` for an attempt that was never started. */
export async function readPage(logs: Logs, { found }: Attempt, cursor: number, now: number): Promise<LogPage> {
  switch (found) {
    case "never":
    case "not-yet":
      throw noSuchLog();
    case "running":
    case "finished":
      return page({
        ndjson: "",
        next_cursor: cursor,
        has_more: false,
        state: found === "running" ? "open" : "closed",
        truncated: false,
      });
    default:
      return readStreamPage(logs, found, cursor, now);
  }
}

async function readStreamPage(logs: Logs, stream: StreamRef, cursor: number, now: number): Promise<LogPage> {
  const state = await logs.streams.state(stream);
  const records =
    cursor < state.stored
      ? await readRecords(logs.files, stream, { cursor, end: state.stored, aboutBytes: PAGE_BYTES })
      : Buffer.alloc(0);
  const behind = cursor + records.length;
  const tombstones = behind < state.stored ? [] : tombstonesAfter(state, behind, now);
  return page({
    ndjson: records.toString("utf8") + tombstones.map(({ line }) => line).join(""),
    next_cursor: tombstones.at(-1)?.next ?? behind,
    has_more: behind < state.stored,
    state: state.closed ? "closed" : "open",
    truncated: state.truncated,
  });
}

function page(fields: Omit<LogPage, "mode">): LogPage {
  return { mode: "inline", ...fields };
}
