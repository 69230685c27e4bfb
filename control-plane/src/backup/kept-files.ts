import { join } from "node:path";
import type { SqliteCopy } from "../store/sqlite-copy.ts";

interface BlobFile {
  readonly id: string;
  readonly workspace_id: string;
  readonly kind: "artifact" | "cache";
  readonly name: string;
  readonly size: number;
}

interface LogFile {
  readonly step_id: string;
  readonly attempt: number;
  readonly workspace_id: string;
  readonly job_execution_id: string;
}

const BLOBS = "select id, workspace_id, kind, name, size from blobs where state = 'whole'";
const LOGS = `select step_id, attempt, workspace_id, job_execution_id from log_streams where state = 'closed' and length > 0`;

/** The artifacts and caches of which a database says more than there are files for. `bytesOf` is null for a missing file. */
export function missingBlobs(database: SqliteCopy, bytesOf: (path: string) => number | null): BlobFile[] {
  const missing: BlobFile[] = [];
  for (const blob of database.iterate<BlobFile>(BLOBS)) {
    if (bytesOf(join("blobs", blob.workspace_id, blob.id)) !== blob.size) missing.push(blob);
  }
  return missing;
}

/** The logs that have ended with something in them, and have no file. */
export function missingLogs(database: SqliteCopy, bytesOf: (path: string) => number | null): LogFile[] {
  const missing: LogFile[] = [];
  for (const log of database.iterate<LogFile>(LOGS)) {
    const path = join("logs", log.workspace_id, log.job_execution_id, `${log.step_id}-${log.attempt}.ndjson`);
    if (bytesOf(path) === null && bytesOf(`${path}.zst`) === null) missing.push(log);
  }
  return missing;
}

/**
 * Files are copied after the database, so some may have been deleted in between, by a person or because their time was
 * over: the copy forgets them as the control plane has. Answers how many they were.
 */
export function forgetMissing(database: SqliteCopy, bytesOf: (path: string) => number | null, now: number): number {
  const blobs = missingBlobs(database, bytesOf);
  const logs = missingLogs(database, bytesOf);
  database.change((run) => {
    for (const { id, workspace_id: workspaceId, kind, size } of blobs) {
      run("update blobs set state = 'dropped', due_at = ? where id = ?", [now, id]);
      const column = kind === "artifact" ? "artifact_bytes" : "cache_bytes";
      run(`update blob_usage set ${column} = ${column} - ? where workspace_id = ?`, [size, workspaceId]);
    }
    for (const { step_id: stepId, attempt } of logs)
      run("delete from log_streams where step_id = ? and attempt = ?", [stepId, attempt]);
  });
  return blobs.length + logs.length;
}
