import type { Artifact, Cache } from "@shipfox/shared/api/artifacts";
import type { BlobRow } from "../../store/schema.ts";
import type { ListedArtifact } from "./store.ts";

export function presentArtifact(row: ListedArtifact): Artifact {
  return {
    id: row.id,
    workspace_id: row.workspace_id,
    project_id: row.project_id,
    run_id: row.run_id,
    job_id: row.job_id,
    job_execution_id: row.job_execution_id,
    job_key: row.job_key,
    name: row.name,
    file_name: fileName(row),
    size: row.size,
    sha256: row.sha256,
    untrusted: row.untrusted === 1,
    expires_at: row.due_at === null ? null : new Date(row.due_at).toISOString(),
    created_at: new Date(row.created_at).toISOString(),
  };
}

/** The name is made of characters that need no escape in a header. */
export function fileName({ name }: Pick<BlobRow, "name">): string {
  return `${name}.tar.gz`;
}

export function presentCache(row: BlobRow): Cache {
  return {
    id: row.id,
    project_id: row.project_id,
    ref: row.ref,
    key: row.name,
    size: row.size,
    sha256: row.sha256,
    run_id: row.run_id,
    used_at: new Date(row.used_at ?? row.created_at).toISOString(),
    created_at: new Date(row.created_at).toISOString(),
  };
}
