import type { FollowSink } from "../follow.ts";
import type { Terminal } from "../terminal.ts";

/** Shows a run as NDJSON: one object a line, told apart by `type` (run, job, execution, step, log, log_end). */
export function jsonSink(terminal: Terminal): FollowSink {
  const print = (line: unknown) => terminal.print(JSON.stringify(line));
  return {
    event: async (event) => {
      // The begin of a log is told by its first record; lanes are only for keeping the order.
      if (event.type !== "log") await print({ ...event, lane: undefined });
    },
    records: async (log, records) => {
      const { job, step, step_id, attempt } = log;
      const lines = records.map((record) => JSON.stringify({ type: "log", job, step, step_id, attempt, record }));
      await terminal.print(lines.join("\n"));
    },
    logEnded: async (log, end) => {
      const { job, step, step_id, attempt } = log;
      await print({ type: "log_end", job, step, step_id, attempt, ...end });
    },
    notice: (text) => terminal.note(text),
  };
}
