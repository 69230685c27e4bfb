import { ApiError } from "@shipfox/shared/errors";
import type { LeasePrincipal } from "../../http/route.ts";
import type { BlobRow } from "../../store/schema.ts";
import type { Store, Tx } from "../../store/store.ts";
import { requireLive } from "../dispatch/public.ts";
import { cacheExists } from "./begin-upload.ts";
import type { FileSettings } from "./model.ts";
import { cacheOfKey, completeBlob, countBytes, dropBlob, findBlob } from "./store.ts";
import type { Uploads } from "./uploads.ts";

/** The upload that the leased job began. Throws 404 `lease-not-active`, `upload-not-found`. */
export async function requireUpload(
  tx: Tx,
  lease: LeasePrincipal,
  kind: BlobRow["kind"],
  uploadId: string,
): Promise<BlobRow> {
  await requireLive(tx, lease);
  const row = await findBlob(tx, uploadId);
  if (!row || row.kind !== kind || row.job_execution_id !== lease.executionId || row.state === "dropped") {
    throw new ApiError("upload-not-found", "the job began no such upload, or it was given up; begin it again");
  }
  return row;
}

export interface CompleteDeps {
  readonly store: Store;
  readonly uploads: Uploads;
  readonly settings: Pick<FileSettings, "artifactRetentionMs">;
  /** Something is to be done at this time: a file that must go. */
  readonly armDue: (at: number) => void;
}

/**
 * Makes an upload visible when all its bytes are there and are those that were announced; a second call changes nothing.
 * Otherwise the upload is dropped and must be begun again. Throws 404 `lease-not-active`, `upload-not-found`, 409 `offset-gap`,
 * `cache-exists`, 422 `upload-mismatch`.
 */
export async function completeUpload(
  deps: CompleteDeps,
  lease: LeasePrincipal,
  kind: BlobRow["kind"],
  { uploadId, now }: { uploadId: string; now: number },
): Promise<BlobRow> {
  const { store, uploads } = deps;
  const upload = await store.read((tx) => requireUpload(tx, lease, kind, uploadId));
  if (upload.state === "whole") return upload;
  const outcome = await uploads.finish(upload, (isWhole) =>
    store.write(async (tx) => {
      // Keeps others of the workspace waiting, so that of two caches of one key only one becomes whole.
      await countBytes(tx, upload.workspace_id, kind, 0);
      const current = await requireUpload(tx, lease, kind, uploadId);
      if (current.state === "whole") return "whole";
      const isTaken =
        isWhole &&
        kind === "cache" &&
        (await cacheOfKey(tx, current.project_id, current.ref, current.name)) !== undefined;
      if (!isWhole || isTaken) {
        await dropBlob(tx, current, now);
        tx.afterCommit(() => deps.armDue(now));
        return isTaken ? "taken" : "mismatch";
      }
      const keptMs = current.kept_ms ?? deps.settings.artifactRetentionMs;
      const dueAt = kind === "artifact" && keptMs !== null ? now + keptMs : null;
      await completeBlob(tx, uploadId, { dueAt, usedAt: now });
      if (dueAt !== null) tx.afterCommit(() => deps.armDue(dueAt));
      return "whole";
    }),
  );
  if (outcome === "taken") throw cacheExists(upload.name);
  if (outcome === "mismatch")
    throw new ApiError(
      "upload-mismatch",
      "the bytes do not have the announced digest; the upload is gone, begin it again",
    );
  return upload;
}
