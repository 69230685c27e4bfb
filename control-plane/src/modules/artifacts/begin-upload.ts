import { randomUUID } from "node:crypto";
import { ApiError } from "@shipfox/shared/errors";
import type { LeasePrincipal } from "../../http/route.ts";
import type { BlobRow } from "../../store/schema.ts";
import type { WriteTx } from "../../store/store.ts";
import { requireLive } from "../dispatch/public.ts";
import { cacheScope, chooseEvictions, type FileSettings, MAX_RUN_ARTIFACTS, UPLOAD_LIMIT_MS } from "./model.ts";
import {
  artifactOfExecution,
  artifactsOfRun,
  cacheOfKey,
  cacheUpload,
  countBytes,
  dropBlob,
  insertBlob,
  leastRecentlyUsed,
  runFacts,
} from "./store.ts";

/** Caches that one upload may push out; the quota is far larger than that many. */
const MAX_EVICTIONS = 256;

export interface Announced {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
}

/** An upload with the number of this process's dropped blobs, so that their files are removed soon. */
export interface Begun {
  readonly upload: Pick<BlobRow, "id" | "workspace_id" | "size" | "sha256">;
  readonly hasDropped: boolean;
}

/**
 * Begins the upload of an artifact of the leased job, or answers the one that it began before with the same content. Throws 404
 * `lease-not-active`, 409 `artifact-exists`, 413 `file-too-large`, `storage-quota-exceeded`.
 */
export async function beginArtifact(
  tx: WriteTx,
  settings: FileSettings,
  lease: LeasePrincipal,
  file: Announced & { readonly keptMs: number | null },
  now: number,
): Promise<Begun> {
  await requireLive(tx, lease);
  const run = await requireRun(tx, lease);
  // First, because it also keeps others of the workspace waiting.
  const usage = await countBytes(tx, lease.workspaceId, "artifact", file.size);
  const earlier = await artifactOfExecution(tx, lease.executionId, file.name);
  if (earlier && !isSame(earlier, file)) {
    throw new ApiError("artifact-exists", `the job has an artifact "${file.name}" already; give this one another name`);
  }
  if (earlier) {
    await countBytes(tx, lease.workspaceId, "artifact", -file.size);
    return { upload: earlier, hasDropped: false };
  }
  requireSize("artifact", file.size, settings.maxArtifactBytes);
  const ofRun = await artifactsOfRun(tx, lease.runId);
  if (ofRun.count >= MAX_RUN_ARTIFACTS) throw overQuota(`a run may have ${MAX_RUN_ARTIFACTS} artifacts`);
  if (ofRun.bytes + file.size > settings.maxRunArtifactBytes)
    throw overQuota(`the artifacts of a run may take ${settings.maxRunArtifactBytes} bytes together`);
  if (usage.artifact_bytes > settings.maxWorkspaceArtifactBytes)
    throw overQuota(`the artifacts of a workspace may take ${settings.maxWorkspaceArtifactBytes} bytes; delete some`);
  const upload = newBlob(lease, "artifact", { ...file, ref: cacheScope(run, run.default_branch).own, run, now });
  await insertBlob(tx, upload);
  return { upload, hasDropped: false };
}

/**
 * Begins the upload of a cache for the ref of the leased job's run; as `beginArtifact`. The least recently used caches of the
 * workspace make room. Throws 404 `lease-not-active`, 403 `cache-read-only`, 409 `cache-exists`, 413 `file-too-large`,
 * `storage-quota-exceeded`.
 */
export async function beginCache(
  tx: WriteTx,
  settings: FileSettings,
  lease: LeasePrincipal,
  file: Announced,
  now: number,
): Promise<Begun> {
  await requireLive(tx, lease);
  const run = await requireRun(tx, lease);
  const scope = cacheScope(run, run.default_branch);
  if (!scope.mayWrite)
    throw new ApiError(
      "cache-read-only",
      "a run of an untrusted event, as of a fork, saves no caches; it may read them",
    );
  requireSize("cache", file.size, settings.maxCacheBytes);
  const usage = await countBytes(tx, lease.workspaceId, "cache", file.size);
  if (await cacheOfKey(tx, lease.projectId, scope.own, file.name)) throw cacheExists(file.name);
  const earlier = await cacheUpload(tx, lease.executionId, file.name);
  if (earlier && isSame(earlier, file)) {
    await countBytes(tx, lease.workspaceId, "cache", -file.size);
    return { upload: earlier, hasDropped: false };
  }
  if (earlier) await dropBlob(tx, earlier, now);
  const evicted = await makeRoom(tx, lease.workspaceId, usage.cache_bytes - settings.maxWorkspaceCacheBytes, now);
  const upload = newBlob(lease, "cache", { ...file, keptMs: null, ref: scope.own, run, now });
  await insertBlob(tx, upload);
  return { upload, hasDropped: evicted || earlier !== undefined };
}

export function cacheExists(key: string): ApiError {
  return new ApiError("cache-exists", `there is a cache with the key "${key}" already; caches are not changed`);
}

function isSame(row: BlobRow, file: Announced): boolean {
  return row.state === "partial" && row.size === file.size && row.sha256 === file.sha256;
}

/** True when something had to go. */
async function makeRoom(tx: WriteTx, workspaceId: string, needed: number, now: number): Promise<boolean> {
  if (needed <= 0) return false;
  const evicted = chooseEvictions(await leastRecentlyUsed(tx, workspaceId, MAX_EVICTIONS), needed);
  if (evicted === null) throw overQuota("the caches of the workspace are at their limit, and none of them can go");
  for (const row of evicted) await dropBlob(tx, row, now);
  return true;
}

function newBlob(
  lease: LeasePrincipal,
  kind: BlobRow["kind"],
  file: Announced & { keptMs: number | null; ref: string; run: { untrusted: number }; now: number },
): Omit<BlobRow, "state" | "used_at"> {
  return {
    // Not by time: nobody can tell where another file is.
    id: randomUUID(),
    kind,
    workspace_id: lease.workspaceId,
    project_id: lease.projectId,
    run_id: lease.runId,
    job_id: lease.jobId,
    job_execution_id: lease.executionId,
    name: file.name,
    ref: file.ref,
    untrusted: file.run.untrusted,
    size: file.size,
    sha256: file.sha256,
    kept_ms: file.keptMs,
    due_at: file.now + UPLOAD_LIMIT_MS,
    created_at: file.now,
  };
}

async function requireRun(tx: WriteTx, lease: LeasePrincipal) {
  const run = await runFacts(tx, lease.runId);
  if (!run) throw new ApiError("job-not-found", "the run of the job was deleted");
  return run;
}

function requireSize(what: string, size: number, limit: number): void {
  if (size > limit) throw new ApiError("file-too-large", `the ${what} has ${size} bytes; ${limit} are allowed`);
}

function overQuota(message: string): ApiError {
  return new ApiError("storage-quota-exceeded", message);
}
