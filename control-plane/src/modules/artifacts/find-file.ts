import type { HeldCache } from "@shipfox/shared/machine-files";
import { ApiError } from "@shipfox/shared/errors";
import type { LeasePrincipal } from "../../http/route.ts";
import type { BlobRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import { requireLive } from "../dispatch/public.ts";
import { type CacheScope, cacheScope, readableRefs } from "./model.ts";
import { artifactOfJob, cacheOfKey, findBlob, markUsed, neededJob, newestCache, runFacts } from "./store.ts";

/**
 * The artifact of a job that the leased job needs: of its newest execution that made one. Throws 404 `lease-not-active`,
 * `artifact-not-found`.
 */
export async function neededArtifact(
  tx: Tx,
  lease: LeasePrincipal,
  { job, name }: { job: string; name: string },
): Promise<BlobRow> {
  await requireLive(tx, lease);
  const jobId = await neededJob(tx, lease.jobId, job);
  if (jobId === null) throw new ApiError("artifact-not-found", `the job does not need a job "${job}"`);
  const found = await artifactOfJob(tx, lease.runId, jobId, name);
  if (!found)
    throw new ApiError("artifact-not-found", `the job "${job}" left no artifact "${name}", or it has expired`);
  return found;
}

/** An artifact of the leased job's run by its id. Throws as `neededArtifact`. */
export async function heldArtifact(tx: Tx, lease: LeasePrincipal, artifactId: string): Promise<BlobRow> {
  await requireLive(tx, lease);
  const row = await findBlob(tx, artifactId);
  if (row?.kind !== "artifact" || row.state !== "whole" || row.run_id !== lease.runId)
    throw new ApiError("artifact-not-found", "the run has no such artifact, or it has expired");
  return row;
}

/**
 * The cache for a job: of this key, else the newest whose key begins with the first restore key that any does; in each case of
 * the run's own ref before the default branch. Marks it as used. Null when there is none.
 */
export async function findCache(
  tx: WriteTx,
  lease: LeasePrincipal,
  { key, restoreKeys }: { key: string; restoreKeys: readonly string[] },
  now: number,
): Promise<HeldCache | null> {
  const refs = readableRefs(await requireScope(tx, lease));
  const found =
    (await firstOf(refs, (ref) => cacheOfKey(tx, lease.projectId, ref, key))) ??
    (await firstOf(restoreKeys, (beginning) =>
      firstOf(refs, (ref) => newestCache(tx, lease.projectId, ref, beginning)),
    ));
  if (!found) return null;
  await markUsed(tx, found.id, now);
  return { id: found.id, key: found.name, size: found.size, sha256: found.sha256, exact: found.name === key };
}

/** A cache that the leased job may have, by its id. Throws 404 `lease-not-active`, `cache-not-found`. */
export async function heldCache(tx: Tx, lease: LeasePrincipal, cacheId: string): Promise<BlobRow> {
  const refs = readableRefs(await requireScope(tx, lease));
  const row = await findBlob(tx, cacheId);
  const isHeld =
    row?.kind === "cache" && row.state === "whole" && row.project_id === lease.projectId && refs.includes(row.ref);
  if (!isHeld) throw new ApiError("cache-not-found", "the job may have no such cache, or it had to go");
  return row;
}

async function requireScope(tx: Tx, lease: LeasePrincipal): Promise<CacheScope> {
  await requireLive(tx, lease);
  const run = await runFacts(tx, lease.runId);
  if (!run) throw new ApiError("job-not-found", "the run of the job was deleted");
  return cacheScope(run, run.default_branch);
}

async function firstOf<Item, Found>(
  items: readonly Item[],
  find: (item: Item) => Promise<Found | undefined>,
): Promise<Found | undefined> {
  for (const item of items) {
    const found = await find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}
