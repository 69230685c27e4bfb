import { stat, statfs } from "node:fs/promises";
import type { Logger } from "@shipfox/shared/logger";
import { LEASE_END_REASONS } from "@shipfox/shared/machine";
import { renderMetricsText } from "@shipfox/shared/operate/metrics-text";
import { VERSION } from "@shipfox/shared/version";
import type { Config } from "../config.ts";
import type { OpenStreams } from "../http/open-streams.ts";
import type { RequestCounts } from "../http/request-counts.ts";
import type { Dispatch } from "../modules/dispatch/public.ts";
import type { Logs } from "../modules/logs/public.ts";
import type { DemandWaiters } from "../modules/provisioners/public.ts";
import type { Clock } from "../store/clock.ts";
import { databasePath } from "../store/sqlite-files.ts";
import type { Store } from "../store/store.ts";
import type { SpanCounts } from "../tracing/span-exporter.ts";
import type { EventCounts } from "./event-counts.ts";
import type { EventLoopDelay } from "./event-loop-delay.ts";
import { readDatabase } from "./read-database.ts";
import { METRICS, METRICS_PREFIX, type Samples } from "./table.ts";

export interface MetricSources {
  readonly config: Pick<Config, "dataDir" | "databaseUrl">;
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly dispatch: Dispatch;
  readonly demandWaiters: DemandWaiters;
  readonly logs: Logs;
  readonly streams: OpenStreams;
  readonly counts: EventCounts;
  readonly requests: RequestCounts;
  readonly traces: { readonly counts: SpanCounts } | null;
  readonly eventLoopDelay: EventLoopDelay;
  readonly certificate: { readonly expiresAt: number } | null;
}

/** All metrics as text. A database that does not answer, or a disk, costs only what is read from it. */
export async function readMetrics(sources: MetricSources): Promise<string> {
  const { log, store, clock } = sources;
  const database = await readDatabase(store, clock.now()).catch((error: unknown) => {
    log.warn({ err: error }, "the metrics of the database could not be read");
    return null;
  });
  const samples: Samples = {
    ...readProcess(sources),
    ...readDispatch(sources),
    ...sources.counts.samples,
    ...(await readDisk(sources)),
    ...(database?.samples ?? NOTHING_READ),
    database_answers: [{ value: database === null ? 0 : 1 }],
    jobs_waiting: [
      { labels: { for: "runner" }, value: sources.dispatch.depths.total },
      ...(database === null ? [] : [{ labels: { for: "group" }, value: database.waitingForGroup }]),
    ],
  };
  return renderMetricsText(
    METRICS_PREFIX,
    Object.entries(METRICS).map(([name, [type, , meaning]]) => ({
      name,
      type,
      help: `${meaning[0]?.toUpperCase()}${meaning.slice(1)}.`,
      samples: samples[name as keyof Samples],
    })),
  );
}

const NOTHING_READ = {
  runs_waiting: [],
  oldest_waiting_seconds: [],
  runner_instances: [],
  file_bytes: [],
  backlog: [],
} as const satisfies Partial<Samples>;

function readProcess({ requests, streams, traces, eventLoopDelay, certificate }: MetricSources) {
  const { user, system } = process.cpuUsage();
  return {
    build_info: [{ labels: { version: VERSION }, value: 1 }],
    start_time_seconds: [{ value: Math.round(Date.now() / 1_000 - process.uptime()) }],
    resident_memory_bytes: [{ value: process.memoryUsage.rss() }],
    cpu_seconds_total: [{ value: (user + system) / 1e6 }],
    event_loop_delay_seconds: eventLoopDelay.quantiles.map(({ quantile, seconds }) => ({
      labels: { quantile: `${quantile}` },
      value: seconds,
    })),
    http_requests_total: requests
      .all()
      .map(({ route, method, status, value }) => ({ labels: { route, method, status }, value })),
    tls_certificate_expiry_seconds: [{ value: (certificate?.expiresAt ?? 0) / 1_000 }],
    trace_spans_total: (["sent", "failed", "dropped"] as const).map((outcome) => ({
      labels: { outcome },
      value: traces?.counts[outcome] ?? 0,
    })),
    open_streams: [{ value: streams.size }],
  } satisfies Partial<Samples>;
}

function readDispatch({ dispatch, demandWaiters, logs, clock }: MetricSources) {
  const leases = { live: 0, cancelling: 0 };
  for (const { state } of dispatch.leases.all()) if (state !== "revoked") leases[state] += 1;
  return {
    jobs_running: Object.entries(leases).map(([state, value]) => ({ labels: { state }, value })),
    dispatch_wait_seconds: dispatch.waits.samples(),
    leases_ended_total: LEASE_END_REASONS.map((reason) => ({
      labels: { reason },
      value: dispatch.leaseEnds.get(reason) ?? 0,
    })),
    runners: Object.entries(dispatch.sessions.count(clock.now())).map(([state, value]) => ({
      labels: { state },
      value,
    })),
    parked_requests: [
      { labels: { kind: "claim" }, value: dispatch.waiters.size },
      { labels: { kind: "demand" }, value: demandWaiters.size },
    ],
    log_bytes_total: [{ value: logs.writtenBytes }],
  } satisfies Partial<Samples>;
}

async function readDisk({ config, store }: MetricSources) {
  const disk = await statfs(config.dataDir).catch(() => null);
  return {
    disk_free_bytes: disk === null ? [] : [{ value: disk.bavail * disk.bsize }],
    disk_size_bytes: disk === null ? [] : [{ value: disk.blocks * disk.bsize }],
    database_bytes: await databaseSizes(config, store),
  } satisfies Partial<Samples>;
}

async function databaseSizes({ dataDir }: MetricSources["config"], store: Store) {
  if (store.dialect === "postgres") {
    const rows = await store
      .readSlow<{ bytes: number }>("select pg_database_size(current_database()) as bytes")
      .catch(() => []);
    return rows.map(({ bytes }) => ({ labels: { part: "main" }, value: bytes }));
  }
  const path = databasePath(dataDir);
  const sizes = await Promise.all(
    [
      { part: "main", file: path },
      { part: "wal", file: `${path}-wal` },
    ].map(async ({ part, file }) => ({ labels: { part }, value: (await stat(file).catch(() => null))?.size ?? 0 })),
  );
  return sizes;
}
