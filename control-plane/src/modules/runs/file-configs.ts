import type { SetupConfig } from "@shipfox/shared/machine";
import type { JobModel } from "../workflow/public.ts";

const SECOND_MS = 1_000;

/** What the runner of a job is told of its caches and artifacts. */
export function fileConfigs(job: JobModel): Pick<SetupConfig, "caches" | "uploads" | "downloads"> {
  return {
    ...(job.caches === undefined
      ? {}
      : {
          caches: job.caches.map(({ key, hashFiles, paths, restoreKeys }) => ({
            key,
            ...(hashFiles === undefined ? {} : { hash_files: hashFiles }),
            paths,
            restore_keys: restoreKeys,
          })),
        }),
    ...(job.uploads === undefined
      ? {}
      : {
          uploads: job.uploads.map(({ name, paths, retentionMs, ifMissing, when }) => ({
            name,
            paths,
            ...(retentionMs === null ? {} : { expires_in: Math.max(1, Math.round(retentionMs / SECOND_MS)) }),
            if_missing: ifMissing,
            when,
          })),
        }),
    ...(job.downloads === undefined ? {} : { downloads: job.downloads }),
  };
}
