import { logStateSchema } from "@shipfox/shared/api/logs";
import { decodeLogRecords, type LogRecord } from "@shipfox/shared/log-records";
import { EventSourceParserStream } from "eventsource-parser/stream";
import type { Api } from "./api.ts";
import { eventually } from "./eventually.ts";

const FOLLOW_LIMIT_MS = 120_000;

/**
 * Follows the log of a step attempt over SSE from its start to its end, as a browser would: a connection that breaks is
 * made again from the last id. `onRecord` sees each record as it comes.
 */
export async function followLog(
  api: Api,
  stepId: string,
  { attempt = 1, onRecord }: { attempt?: number; onRecord?: (record: LogRecord) => void } = {},
): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  let lastId = "";
  await eventually(
    `the log of step ${stepId} is followed to its end`,
    async () => {
      const response = await fetch(`${api.url}/steps/${stepId}/attempts/${attempt}/logs/stream`, {
        headers: { authorization: `Bearer ${api.token}`, ...(lastId === "" ? {} : { "last-event-id": lastId }) },
        signal: AbortSignal.timeout(FOLLOW_LIMIT_MS),
      });
      if (!response.ok || !response.body) throw new Error(`stream: ${response.status} ${await response.text()}`);
      const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
      for await (const event of events) {
        if (event.event === "state" && logStateSchema.parse(JSON.parse(event.data)).state === "end") return true;
        if (event.event !== "log") continue;
        for (const record of decodeLogRecords(event.data)) {
          records.push(record);
          onRecord?.(record);
        }
        if (event.id !== undefined) lastId = event.id;
      }
      return false;
    },
    { limitMs: FOLLOW_LIMIT_MS },
  );
  return records;
}

/** What the step printed, both streams in their order. */
export function outputOf(records: readonly LogRecord[]): string {
  return records.map((record) => (record.type === "output" ? record.data : "")).join("");
}

/** What the commands of a step printed: the text of its log without the runner's words before it. */
export function printedIn(logText: string): string {
  return logText.replace(/^[^]*?\nworking-directory: [^\n]*\n/, "");
}
