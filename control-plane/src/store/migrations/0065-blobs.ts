import type { ColumnTypes } from "../dialect.ts";

/**
 * Artifacts and caches: a row for every file, which goes after the file does. It names what it is of without references, so
 * that no deletion leaves a file behind that nothing knows of. Of a `partial` one the upload is not complete; a `dropped` one
 * counts no more and waits for its file to be removed. A run's `ref` is null for the default branch.
 */
export const blobs = {
  version: 65,
  name: "blobs",
  oldestBinary: 1,
  up: ({ text, bigint }: ColumnTypes): string[] => [
    `create table blobs (
      id ${text} primary key,
      kind ${text} not null,
      workspace_id ${text} not null,
      project_id ${text} not null,
      run_id ${text} not null,
      job_id ${text} not null,
      job_execution_id ${text} not null,
      name ${text} not null,
      ref ${text} not null,
      untrusted ${bigint} not null,
      size ${bigint} not null,
      sha256 ${text} not null,
      state ${text} not null,
      kept_ms ${bigint},
      due_at ${bigint},
      used_at ${bigint},
      created_at ${bigint} not null
    )`,
    `create unique index blobs_artifact on blobs(job_execution_id, name) where kind = 'artifact' and state <> 'dropped'`,
    `create index blobs_run on blobs(run_id, created_at, id) where kind = 'artifact' and state <> 'dropped'`,
    `create unique index blobs_cache_upload on blobs(job_execution_id, name) where kind = 'cache' and state = 'partial'`,
    `create unique index blobs_cache on blobs(project_id, ref, name) where kind = 'cache' and state = 'whole'`,
    `create index blobs_project on blobs(project_id, created_at, id) where kind = 'cache' and state = 'whole'`,
    `create index blobs_use on blobs(workspace_id, used_at, id) where kind = 'cache' and state = 'whole'`,
    `create index blobs_workspace on blobs(workspace_id)`,
    `create index blobs_due on blobs(due_at) where due_at is not null`,
    `create table blob_usage (
      workspace_id ${text} primary key references workspaces(id) on delete cascade,
      artifact_bytes ${bigint} not null,
      cache_bytes ${bigint} not null
    )`,
    `alter table runs add column untrusted ${bigint} not null default 0`,
    `alter table runs add column ref ${text}`,
  ],
};
