import type { JobDocument } from "../document/document.ts";
import type { DiagnosticLog } from "../diagnostics.ts";
import { unescapeLiteral } from "../expressions/template.ts";
import { MAX_ARTIFACT_RETENTION_MS, MIN_TIMEOUT_MS } from "../limits.ts";
import type { Path } from "../yaml/source-map.ts";
import type { CacheModel, JobPlan } from "./model.ts";
import { readTimeout } from "./timeout.ts";

const RETENTION = { minMs: MIN_TIMEOUT_MS, maxMs: MAX_ARTIFACT_RETENTION_MS };

/** What a job leaves and gets. `path` is the job's. */
export function buildFiles(
  job: JobDocument,
  path: Path,
  faults: DiagnosticLog,
): Pick<JobPlan, "caches" | "uploads" | "downloads"> {
  const caches = buildCaches(job.cache);
  refuseSame(
    caches.map(({ key, hashFiles }) => JSON.stringify([key, hashFiles])),
    { path: Array.isArray(job.cache) ? [...path, "cache"] : path, message: "two caches have the same key and files" },
    faults,
  );
  const { upload = [], download = [] } = job.artifacts ?? {};
  const uploadPath = [...path, "artifacts", "upload"];
  const uploads = upload.map(({ name, paths, retention, if_missing = "fail", when = "success" }, index) => ({
    name: unescapeLiteral(name),
    paths: paths.map(unescapeLiteral),
    retentionMs: readTimeout(retention, [...uploadPath, index, "retention"], faults, RETENTION),
    ifMissing: if_missing,
    when,
  }));
  refuseSame(
    uploads.map(({ name }) => name),
    { path: uploadPath, message: "two artifacts of a job have the same name" },
    faults,
  );
  const downloads = download.map(({ job: from, name, path: into = "." }) => ({
    job: unescapeLiteral(from),
    name: unescapeLiteral(name),
    path: unescapeLiteral(into),
  }));
  return {
    ...(caches.length > 0 ? { caches } : {}),
    ...(uploads.length > 0 ? { uploads } : {}),
    ...(downloads.length > 0 ? { downloads } : {}),
  };
}

/** Refuses downloads of what no needed job uploads. */
export function checkDownloads(jobs: readonly JobPlan[], faults: DiagnosticLog): void {
  const byKey = new Map(jobs.map((job) => [job.key, job]));
  const matrices = new Map(jobs.flatMap(({ key, matrix }) => (matrix ? [[matrix.job, key]] : [])));
  for (const { key, matrix, needs, downloads = [] } of jobs) {
    for (const [index, { job, name }] of downloads.entries()) {
      const path = ["jobs", matrix?.job ?? key, "artifacts", "download", index];
      const refuse = (field: string, message: string) =>
        faults.add({ code: "invalid-value", message, path: [...path, field] });
      const from = byKey.get(job);
      if (matrices.has(job))
        refuse("job", `\`${job}\` has a matrix; name one of its jobs, such as \`${matrices.get(job)}\``);
      else if (!needs.includes(from?.matrix?.job ?? job))
        refuse("job", `the job does not need \`${job}\`; put it into its \`needs\``);
      else if (from?.uploads?.some((upload) => upload.name === name) !== true)
        refuse("name", `the job \`${job}\` uploads no artifact \`${name}\``);
    }
  }
}

function buildCaches(cache: JobDocument["cache"]): CacheModel[] {
  return [cache ?? []].flat().map(({ key, hash_files, paths, restore_keys = [] }) => ({
    key: unescapeLiteral(key),
    ...(hash_files === undefined ? {} : { hashFiles: hash_files.map(unescapeLiteral) }),
    paths: paths.map(unescapeLiteral),
    restoreKeys: restore_keys.map(unescapeLiteral),
  }));
}

function refuseSame(
  names: readonly string[],
  { path, message }: { path: Path; message: string },
  faults: DiagnosticLog,
) {
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) < index) faults.add({ code: "invalid-value", message, path: [...path, index] });
  }
}
