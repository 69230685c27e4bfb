import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { VERSION } from "@shipfox/shared/version";
import { z } from "zod";
import type { Monitor } from "./monitor.ts";

const timestamp = z.iso.datetime();

/** What a running daemon tells about itself over its socket. Times are RFC 3339 UTC. */
export const statusSchema = z.object({
  version: z.string(),
  pid: z.int(),
  name: z.string(),
  api_url: z.string(),
  sandbox: z.enum(["docker", "host"]),
  started_at: timestamp,
  uptime_seconds: z.int().min(0),
  runner_id: z.string().nullable(),
  session: z.object({ id: z.string(), opened_at: timestamp }).nullable(),
  labels: z.array(z.string()),
  concurrency: z.int().min(1),
  health: z.object({ state: z.enum(["healthy", "unhealthy", "draining"]), reason: z.string().nullable() }),
  /** Whether it asks for jobs, or would if it had a free place. */
  ready: z.boolean(),
  draining_since: timestamp.nullable(),
  last_contact_at: timestamp.nullable(),
  jobs: z.array(
    z.object({
      run_id: z.string(),
      job_id: z.string(),
      execution_id: z.string(),
      project: z.string().nullable(),
      workflow: z.string().nullable(),
      run_number: z.int().nullable(),
      job: z.string().nullable(),
      started_at: timestamp,
      step: z.object({ name: z.string(), started_at: timestamp }).nullable(),
    }),
  ),
  /** Containers started ahead; null where the sandbox has none. */
  warm: z.object({ ready: z.int(), wanted: z.int() }).nullable(),
  /** Log bytes on the runner's disk: not acknowledged yet, or of steps that still run. */
  spool_bytes: z.int().min(0),
  /** The process that holds the jobs' lifelines; null where there is none. */
  guard: z.object({ state: z.string(), pid: z.int().nullable() }).nullable(),
});
export type Status = z.infer<typeof statusSchema>;

export interface StatusSources {
  readonly monitor: Monitor;
  readonly name: string;
  readonly apiUrl: string;
  readonly sandbox: "docker" | "host";
  readonly spoolFolder: string;
  readonly warm: () => Status["warm"];
  readonly guard: () => Status["guard"];
}

const MAX_SPOOL_ENTRIES = 50_000;

export async function readStatus(sources: StatusSources): Promise<Status> {
  const { monitor } = sources;
  const now = Date.now();
  const contactAgeMs = monitor.contactAgeMs;
  return {
    version: VERSION,
    pid: process.pid,
    name: sources.name,
    api_url: sources.apiUrl,
    sandbox: sources.sandbox,
    started_at: iso(monitor.startedAt),
    uptime_seconds: Math.floor(process.uptime()),
    runner_id: monitor.session?.runnerId ?? null,
    session: monitor.session && { id: monitor.session.id, opened_at: iso(monitor.session.openedAt) },
    labels: [...monitor.labels],
    concurrency: monitor.concurrency,
    health: healthOf(monitor),
    ready: isReady(monitor),
    draining_since: monitor.drainingSince === null ? null : iso(monitor.drainingSince),
    last_contact_at: contactAgeMs === null ? null : iso(now - contactAgeMs),
    jobs: [...monitor.running].map(({ progress }) => ({
      run_id: progress.runId,
      job_id: progress.jobId,
      execution_id: progress.executionId,
      project: progress.project,
      workflow: progress.workflow,
      run_number: progress.runNumber,
      job: progress.job,
      started_at: iso(progress.startedAt),
      step: progress.step && { name: progress.step.name, started_at: iso(progress.step.startedAt) },
    })),
    warm: sources.warm(),
    spool_bytes: await folderBytes(sources.spoolFolder),
    guard: sources.guard(),
  };
}

/** Draining counts before unhealthy: nobody expects jobs of it any more. */
export function healthOf(monitor: Monitor): Status["health"] {
  if (monitor.drainingSince !== null) return { state: "draining", reason: null };
  const reason = monitor.unhealthyReason;
  return { state: reason === null ? "healthy" : "unhealthy", reason };
}

export function isReady(monitor: Monitor): boolean {
  return monitor.session !== null && monitor.isAskingForJobs && healthOf(monitor).state === "healthy";
}

/** Bytes of all files below a folder; what vanishes while it is counted counts as nothing. */
export async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .slice(0, MAX_SPOOL_ENTRIES)
      .map((entry) =>
        stat(join(entry.parentPath, entry.name)).then(
          (found) => found.size,
          () => 0,
        ),
      ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

function iso(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
