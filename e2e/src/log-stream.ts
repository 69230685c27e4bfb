import type { LogRecord } from "@shipfox/shared/log-records";
import type { Api } from "./api.ts";

const FOLLOW_LIMIT_MS = 120_000;

/** The log of a step attempt, followed from its start to its end. `onRecord` sees each record as it comes. */
export async function followLog(
  api: Api,
  stepId: string,
  { attempt = 1, onRecord }: { attempt?: number; onRecord?: (record: LogRecord) => void } = {},
): Promise<LogRecord[]> {
  const records: LogRecord[] = [];
  const signal = AbortSignal.timeout(FOLLOW_LIMIT_MS);
  for await (const item of api.client.logs.follow({ stepId, attempt }, { signal })) {
    if (item.kind === "end") return records;
    if (item.kind !== "records") continue;
    for (const record of item.records) {
      records.push(record);
      onRecord?.(record);
    }
  }
  throw new Error(`the log of step ${stepId} did not end within ${FOLLOW_LIMIT_MS} ms`);
}

/** What the step printed, both streams in their order. */
export function outputOf(records: readonly LogRecord[]): string {
  return records.map((record) => (record.type === "output" ? record.data : "")).join("");
}

/** What the commands of a step printed: the text of its log without the runner's words before it. */
export function printedIn(logText: string): string {
  return logText.replace(/^[^]*?\nworking-directory: [^\n]*\n/, "");
}
