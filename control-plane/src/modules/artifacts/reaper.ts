import type { Logger } from "@shipfox/shared/logger";
import type { BlobRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { artifactsOfRuns, blobsOfWorkspace, deleteBlob, dropBlob, dueBlobs, nextDueAt, postponeBlob } from "./store.ts";
import type { Uploads } from "./uploads.ts";

/** Small, so that a stop does not wait for long. */
const BATCH = 16;
/** A file that makes trouble is looked at again after this time, and does not hold up the others. */
const RETRY_MS = 3_600_000;

export interface BlobReaperDeps {
  readonly store: Store;
  readonly uploads: Uploads;
  readonly log: Logger;
}

/**
 * Drops artifacts that have expired and uploads that were given up, and removes the files of what was dropped: one batch.
 * Answers when to call again; null when nothing is due ever.
 */
export async function reapBlobs(deps: BlobReaperDeps, now: number): Promise<number | null> {
  const { store, log } = deps;
  const due = await store.read((tx) => dueBlobs(tx, now, BATCH));
  for (const row of await drop(store, due, now)) {
    try {
      await remove(deps, row);
    } catch (error) {
      log.warn({ err: error, blob: row.id }, "the file of an artifact or a cache could not be removed");
      await store.write((tx) => postponeBlob(tx, row.id, now + RETRY_MS));
    }
  }
  return due.length === BATCH ? now : store.read(nextDueAt);
}

/** One batch of what a workspace that was deleted still has; false when there is none. */
export async function removeBlobsOfWorkspace(deps: BlobReaperDeps, workspaceId: string, now: number): Promise<boolean> {
  const rows = await deps.store.read((tx) => blobsOfWorkspace(tx, workspaceId, BATCH));
  for (const row of await drop(deps.store, rows, now)) await remove(deps, row);
  return rows.length > 0;
}

/** Drops one batch of the artifacts of runs that are removed, whose files then are due; false when they have none. */
export async function dropArtifactsOfRuns(store: Store, runIds: readonly string[], now: number): Promise<boolean> {
  const rows = await store.read((tx) => artifactsOfRuns(tx, runIds, BATCH));
  await drop(store, rows, now);
  return rows.length > 0;
}

/** Those that are dropped now; one that was completed meanwhile is not. */
async function drop(store: Store, rows: readonly BlobRow[], now: number): Promise<BlobRow[]> {
  if (rows.length === 0) return [];
  return store.write(async (tx) => {
    const dropped: BlobRow[] = [];
    for (const row of rows) if (row.state === "dropped" || (await dropBlob(tx, row, now))) dropped.push(row);
    return dropped;
  });
}

/** The file goes before its row: a row without a file does no harm once it is dropped, a file without a row stays for ever. */
async function remove({ store, uploads }: BlobReaperDeps, row: BlobRow): Promise<void> {
  await uploads.remove(row);
  await store.write((tx) => deleteBlob(tx, row.id));
}
