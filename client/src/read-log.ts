import { decodeLogRecords, type LogRecord } from "@shipfox/shared/log-records";
import type { Client } from "./client.ts";
import type { CallOptions } from "./transport.ts";

/** The log of a step attempt as far as it is written, a page of records at a time. */
export async function* readLog(
  client: Client,
  attempt: { readonly stepId: string; readonly attempt: number },
  options?: CallOptions,
): AsyncGenerator<LogRecord[], void> {
  for (let cursor = 0; ; ) {
    const page = await client.logs.page({ ...attempt, cursor }, options);
    yield decodeLogRecords(page.ndjson);
    if (!page.has_more) return;
    cursor = page.next_cursor;
  }
}
