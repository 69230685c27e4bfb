import type { Logger } from "@shipfox/shared/logger";
import type { Store } from "../../store/store.ts";
import type { LogStore } from "./log-store.ts";
import { decideKeeping, type RetentionSettings } from "./model.ts";
import { deleteStream, dueStreams, nextDueAt, scheduleClosedStream, type StreamRow } from "./store.ts";
import type { Streams } from "./streams.ts";

/** Small, so that a stop does not wait for long. */
const BATCH = 16;
/** A log whose file makes trouble is looked at again after this time, and does not hold up the others. */
const RETRY_MS = 3_600_000;

export interface RetentionDeps {
  readonly store: Store;
  readonly files: LogStore;
  readonly streams: Streams;
  readonly settings: RetentionSettings;
  readonly log: Logger;
}

/**
 * Archives and deletes what is due of the closed logs, one batch, and answers when to call again; null when there is no
 * closed log. Not on the path of anybody: one file after another, one unit of the store for all of them.
 */
export async function keepClosedLogs(deps: RetentionDeps, now: number): Promise<number | null> {
  const due = await deps.store.read((tx) => dueStreams(tx, "closed", now, BATCH));
  const done: { row: StreamRow; outcome: "deleted" | number | null }[] = [];
  for (const row of due) done.push({ row, outcome: await keepOne(deps, row, now) });
  if (done.length > 0) {
    await deps.store.write(async (tx) => {
      for (const { row, outcome } of done) {
        if (outcome === "deleted") await deleteStream(tx, row);
        else await scheduleClosedStream(tx, row, outcome);
      }
    });
    for (const { row, outcome } of done) if (outcome === "deleted") deps.streams.forget(row);
  }
  return due.length === BATCH ? now : deps.store.read((tx) => nextDueAt(tx, "closed"));
}

/** When it is due again, null for never. The file goes before its row: a row without a file does no harm, a file without a row stays for ever. */
async function keepOne(deps: RetentionDeps, row: StreamRow, now: number): Promise<"deleted" | number | null> {
  const { files, streams, settings, log } = deps;
  const closedAt = row.closedAt ?? now;
  try {
    if (decideKeeping(settings, closedAt, now) === "delete") {
      await streams.inTurn(row, () => files.remove(row));
      streams.forget(row);
      return "deleted";
    }
    await streams.inTurn(row, () => files.archive(row));
    return settings.retentionMs === null ? null : closedAt + settings.retentionMs;
  } catch (error) {
    log.warn(
      { err: error, step_id: row.stepId, attempt: row.attempt },
      "a closed log could not be archived or deleted",
    );
    return now + RETRY_MS;
  }
}
