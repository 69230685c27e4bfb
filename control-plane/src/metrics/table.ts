import type { Metric } from "@shipfox/shared/operate/metrics-text";

export const METRICS_PREFIX = "shipfox_control_plane";

/**
 * Every metric: its type, its labels with their values, and what it tells. What is served and the table of docs/operate.md
 * are both made from this one. No label has values that grow with use: no name, id or address of anything.
 */
export const METRICS = {
  build_info: ["gauge", "`version`", "1, with the version as label"],
  start_time_seconds: ["gauge", "", "when the process started, Unix time"],
  database_answers: [
    "gauge",
    "",
    "0 when the database did not answer this scrape; what is read from it is then left out",
  ],
  database_bytes: ["gauge", "`part`: main, wal", "size of the database; `wal` is the write-ahead log of SQLite"],
  disk_free_bytes: ["gauge", "", "free space on the disk of the data folder"],
  disk_size_bytes: ["gauge", "", "size of the disk of the data folder"],
  jobs_waiting: [
    "gauge",
    "`for`: runner, group",
    "jobs in the queue, and jobs that wait for another one of their group",
  ],
  runs_waiting: ["gauge", "", "runs that wait for the limit of their workspace"],
  oldest_waiting_seconds: ["gauge", "", "age of the oldest job in the queue; 0 when it is empty"],
  jobs_running: ["gauge", "`state`: live, cancelling", "jobs that a runner holds"],
  runs_created_total: ["counter", "", "runs and further attempts of runs since the start"],
  runs_finished_total: [
    "counter",
    "`status`: succeeded, failed, cancelled",
    "attempts of runs that ended since the start",
  ],
  jobs_finished_total: [
    "counter",
    "`status`: succeeded, failed, cancelled, skipped",
    "jobs that ended since the start, for good",
  ],
  jobs_lost_total: [
    "counter",
    "`cause`: one of [those of infrastructure](api.md#runs)",
    "executions of jobs that the infrastructure ended, repeated or not",
  ],
  dispatch_wait_seconds: ["histogram", "`le`", "from the queueing of a job to a runner's claim"],
  leases_ended_total: [
    "counter",
    "`reason`: finished, released, cancelled, expired, superseded, revoked",
    "leases that ended; those of lost runners are expired or superseded",
  ],
  runners: ["gauge", "`state`: idle, busy, unhealthy", "runners that are online"],
  runner_instances: [
    "gauge",
    "`state`: planned, starting, running, stopping",
    "machines of provisioners that have not ended",
  ],
  http_requests_total: [
    "counter",
    "`route`: its template; `method`; `status`: 2xx to 5xx, aborted",
    "requests that were answered, or whose client hung up before; unknown paths have the route `unknown`",
  ],
  open_streams: ["gauge", "", "event streams and WebSockets of users"],
  parked_requests: ["gauge", "`kind`: claim, demand", "long polls of runners and provisioners that wait"],
  trace_spans_total: [
    "counter",
    "`outcome`: sent, failed, dropped",
    "spans of runs: taken by the collector, refused or not reached, left out because too many waited (a run that was not read counts as one)",
  ],
  log_bytes_total: ["counter", "", "bytes of logs written since the start"],
  file_bytes: ["gauge", "`kind`: artifact, cache", "bytes of files that are kept"],
  backlog: [
    "gauge",
    "`kind`: trigger_event, webhook_delivery, mail",
    "what is to be done in the background, retries that are planned for later included",
  ],
  event_loop_delay_seconds: [
    "gauge",
    "`quantile`: 0.5, 0.99, 1",
    "how late the event loop came, over the last 10 to 20 seconds",
  ],
  tls_certificate_expiry_seconds: ["gauge", "", "until when the certificate is good, Unix time; 0 without TLS"],
  resident_memory_bytes: ["gauge", "", "memory of the process"],
  cpu_seconds_total: ["counter", "", "processor time of the process, user and system"],
} as const satisfies Record<string, readonly [type: Metric["type"], labels: string, meaning: string]>;

/** Of each metric what is known now; none of those that could not be read. */
export type Samples = { readonly [Name in keyof typeof METRICS]: Metric["samples"] };
