import { build } from "../../store/build.ts";
import { marks } from "../../store/marks.ts";
import type { BlobRow, JobRow, RunRow } from "../../store/schema.ts";
import type { Tx, WriteTx } from "../../store/store.ts";
import type { MatrixModel } from "../workflow/public.ts";

export type BlobUsage = { readonly artifact_bytes: number; readonly cache_bytes: number };

const INSERT = `insert into blobs (id, kind, workspace_id, project_id, run_id, job_id, job_execution_id, name, ref, untrusted,
    size, sha256, state, kept_ms, due_at, used_at, created_at)
  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'partial', ?, ?, null, ?)`;
const COUNT = `insert into blob_usage (workspace_id, artifact_bytes, cache_bytes) values (?, ?, ?) on conflict (workspace_id)
  do update set artifact_bytes = blob_usage.artifact_bytes + excluded.artifact_bytes,
    cache_bytes = blob_usage.cache_bytes + excluded.cache_bytes
  returning artifact_bytes, cache_bytes`;
const DUE = "select * from blobs where due_at is not null and due_at <= ? order by due_at limit ?";
const DROP = "update blobs set state = 'dropped', due_at = ? where id = ? and state = ?";
const RUN_FACTS = `select r.ref, r.untrusted, p.default_branch from runs r join projects p on p.id = r.project_id where r.id = ?`;
/** Upper bound of all texts that begin with another one: no key holds this character or a later one. */
const AFTER_KEYS = "\x7f";

export async function insertBlob(tx: WriteTx, row: Omit<BlobRow, "state" | "used_at">): Promise<void> {
  const owner = [row.id, row.kind, row.workspace_id, row.project_id, row.run_id, row.job_id, row.job_execution_id];
  const content = [row.name, row.ref, row.untrusted, row.size, row.sha256];
  await tx.run(INSERT, [...owner, ...content, row.kept_ms, row.due_at, row.created_at]);
}

/** Adds to what a workspace's blobs take, or takes from it; locks the count until the unit ends. Answers what it is now. */
export async function countBytes(
  tx: WriteTx,
  workspaceId: string,
  kind: BlobRow["kind"],
  bytes: number,
): Promise<BlobUsage> {
  const change = kind === "artifact" ? [bytes, 0] : [0, bytes];
  const row = await tx.get<BlobUsage>(COUNT, [workspaceId, ...change]);
  return row ?? { artifact_bytes: 0, cache_bytes: 0 };
}

export const findBlob = (tx: Tx, blobId: string) => tx.get<BlobRow>("select * from blobs where id = ?", [blobId]);

/** The artifact of this name that a job execution has or is uploading. */
export const artifactOfExecution = (tx: Tx, executionId: string, name: string) =>
  tx.get<BlobRow>(
    "select * from blobs where job_execution_id = ? and name = ? and kind = 'artifact' and state <> 'dropped'",
    [executionId, name],
  );

/** The newest whole artifact of this name among the executions of a job. */
export const artifactOfJob = (tx: Tx, runId: string, jobId: string, name: string) =>
  tx.get<BlobRow>(
    `select * from blobs where run_id = ? and kind = 'artifact' and state = 'whole' and state <> 'dropped' and job_id = ?
      and name = ? order by created_at desc, id desc limit 1`,
    [runId, jobId, name],
  );

export const cacheUpload = (tx: Tx, executionId: string, key: string) =>
  tx.get<BlobRow>(
    "select * from blobs where job_execution_id = ? and name = ? and kind = 'cache' and state = 'partial'",
    [executionId, key],
  );

export const cacheOfKey = (tx: Tx, projectId: string, ref: string, key: string) =>
  tx.get<BlobRow>(
    "select * from blobs where project_id = ? and ref = ? and name = ? and kind = 'cache' and state = 'whole'",
    [projectId, ref, key],
  );

/** The newest cache whose key begins so. */
export const newestCache = (tx: Tx, projectId: string, ref: string, beginning: string) =>
  tx.get<BlobRow>(
    `select * from blobs where project_id = ? and ref = ? and name >= ? and name < ? and kind = 'cache' and state = 'whole'
      order by created_at desc, id desc limit 1`,
    [projectId, ref, beginning, beginning + AFTER_KEYS],
  );

export const leastRecentlyUsed = (tx: Tx, workspaceId: string, limit: number) =>
  tx.all<BlobRow>(
    `select * from blobs where workspace_id = ? and kind = 'cache' and state = 'whole' order by used_at, id limit ?`,
    [workspaceId, limit],
  );

export async function artifactsOfRun(tx: Tx, runId: string): Promise<{ count: number; bytes: number }> {
  const sql = `select count(*) as count, coalesce(sum(size), 0) as bytes from blobs
    where run_id = ? and kind = 'artifact' and state <> 'dropped'`;
  return (await tx.get<{ count: number; bytes: number }>(sql, [runId])) ?? { count: 0, bytes: 0 };
}

/** False when it is not an upload any more. */
export async function completeBlob(
  tx: WriteTx,
  blobId: string,
  { dueAt, usedAt }: { dueAt: number | null; usedAt: number },
): Promise<boolean> {
  const sql = "update blobs set state = 'whole', due_at = ?, used_at = ? where id = ? and state = 'partial'";
  return (await tx.run(sql, [dueAt, usedAt, blobId])) === 1;
}

export async function markUsed(tx: WriteTx, blobId: string, now: number): Promise<void> {
  await tx.run("update blobs set used_at = ? where id = ? and state = 'whole'", [now, blobId]);
}

/**
 * Takes it out of all counts and lists; its file is removed soon after. False when it was dropped before, or is in another
 * state than the row says.
 */
export async function dropBlob(
  tx: WriteTx,
  blob: Pick<BlobRow, "id" | "workspace_id" | "kind" | "size" | "state">,
  now: number,
): Promise<boolean> {
  if (blob.state === "dropped" || (await tx.run(DROP, [now, blob.id, blob.state])) === 0) return false;
  await countBytes(tx, blob.workspace_id, blob.kind, -blob.size);
  return true;
}

export const dueBlobs = (tx: Tx, now: number, limit: number) => tx.all<BlobRow>(DUE, [now, limit]);

export async function nextDueAt(tx: Tx): Promise<number | null> {
  const sql = "select min(due_at) as due_at from blobs where due_at is not null";
  return (await tx.get<{ due_at: number | null }>(sql))?.due_at ?? null;
}

export const blobsOfWorkspace = (tx: Tx, workspaceId: string, limit: number) =>
  tx.all<BlobRow>("select * from blobs where workspace_id = ? limit ?", [workspaceId, limit]);

export const artifactsOfRuns = (tx: Tx, runIds: readonly string[], limit: number) =>
  tx.all<BlobRow>(
    `select * from blobs where run_id in (${marks(runIds.length)}) and kind = 'artifact' and state <> 'dropped' limit ?`,
    [...runIds, limit],
  );

export async function postponeBlob(tx: WriteTx, blobId: string, until: number): Promise<void> {
  await tx.run("update blobs set due_at = ? where id = ?", [until, blobId]);
}

export async function deleteBlob(tx: WriteTx, blobId: string): Promise<void> {
  await tx.run("delete from blobs where id = ?", [blobId]);
}

export interface RunFacts extends Pick<RunRow, "ref" | "untrusted"> {
  readonly default_branch: string;
}

export const runFacts = (tx: Tx, runId: string) => tx.get<RunFacts>(RUN_FACTS, [runId]);

const NEEDED_JOB = `select j.id, j.carried_from, j.matrix, own.needs from jobs own
  join jobs j on j.run_attempt_id = own.run_attempt_id where own.id = ? and j.key = ?`;

/**
 * The job that ran under this key, of an earlier attempt when it was carried over; null when the job does not need it, nor the
 * matrix of which it is one.
 */
export async function neededJob(tx: Tx, jobId: string, key: string): Promise<string | null> {
  const row = await tx.get<Pick<JobRow, "id" | "carried_from" | "matrix" | "needs">>(NEEDED_JOB, [jobId, key]);
  if (!row) return null;
  const need = row.matrix === null ? key : (JSON.parse(row.matrix) as MatrixModel).job;
  return (JSON.parse(row.needs) as string[]).includes(need) ? (row.carried_from ?? row.id) : null;
}

export type ListedArtifact = BlobRow & { readonly job_key: string };

/** One page and one row more, oldest first; `after` is the last row of the page before. */
export function listArtifacts(
  tx: Tx,
  runId: string,
  limit: number,
  after: readonly [createdAt: number, id: string] | null,
): Promise<ListedArtifact[]> {
  const [createdAt, id] = after ?? [-1, ""];
  return tx.all(
    `select b.*, j.key as job_key from blobs b join jobs j on j.id = b.job_id
      where b.run_id = ? and b.kind = 'artifact' and b.state <> 'dropped' and b.state = 'whole'
        and (b.created_at, b.id) > (?, ?) order by b.created_at, b.id limit ?`,
    [runId, createdAt, id, limit + 1],
  );
}

/** As `listArtifacts`, newest first. */
export function listCaches(
  tx: Tx,
  projectId: string,
  limit: number,
  before: readonly [createdAt: number, id: string] | null,
): Promise<BlobRow[]> {
  const [createdAt, id] = before ?? [Number.MAX_SAFE_INTEGER, ""];
  return tx.all(
    `select * from blobs where project_id = ? and kind = 'cache' and state = 'whole' and (created_at, id) < (?, ?)
      order by created_at desc, id desc limit ?`,
    [projectId, createdAt, id, limit + 1],
  );
}

/** Some caches of a project, only those of a key and a ref where these are given. */
export function someCaches(
  tx: Tx,
  projectId: string,
  only: { key: string | undefined; ref: string | undefined },
  limit: number,
): Promise<BlobRow[]> {
  let select = build
    .selectFrom("blobs")
    .selectAll()
    .where("project_id", "=", projectId)
    .where("kind", "=", "cache")
    .where("state", "=", "whole")
    .limit(limit);
  if (only.key !== undefined) select = select.where("name", "=", only.key);
  if (only.ref !== undefined) select = select.where("ref", "=", only.ref);
  return tx.rows<BlobRow>(select);
}
