import { releaseReasonSchema } from "@shipfox/shared/failure";
import { type Metric, renderMetricsText } from "@shipfox/shared/operate/metrics-text";
import { VERSION } from "@shipfox/shared/version";
import type { Status } from "./status.ts";
import type { Monitor } from "./monitor.ts";

const OUTCOMES = ["finished", "cancelled", "lost", "handed_back", "killed"] as const;
const CAUSES = [...releaseReasonSchema.options, "lost"] as const;

/** An age that is not known yet has no sample. */
export function renderMetrics(monitor: Monitor, status: Status): string {
  return renderMetricsText("shipfox_runner", metricsOf(monitor, status));
}

function metricsOf(monitor: Monitor, status: Status): Metric[] {
  const memory = process.memoryUsage();
  const cpu = process.cpuUsage();
  const gauge = (name: string, help: string, value: number | null): Metric => ({
    name,
    type: "gauge",
    help,
    samples: value === null ? [] : [{ value }],
  });
  const counter = (name: string, help: string, value: number): Metric => ({
    name,
    type: "counter",
    help,
    samples: [{ value }],
  });
  return [
    {
      name: "build_info",
      type: "gauge",
      help: "1, with the version as label.",
      samples: [{ labels: { version: VERSION }, value: 1 }],
    },
    gauge("start_time_seconds", "When the process started, Unix time.", monitor.startedAt / 1000),
    gauge("healthy", "1 while the runner is healthy or draining.", status.health.state === "unhealthy" ? 0 : 1),
    gauge("ready", "1 while the runner takes jobs.", status.ready ? 1 : 0),
    gauge("draining", "1 while the runner finishes what it has.", status.draining_since === null ? 0 : 1),
    gauge("concurrency", "How many jobs may run at once.", status.concurrency),
    gauge("jobs_running", "Jobs that run now.", status.jobs.length),
    {
      name: "jobs_total",
      type: "counter",
      help: "Jobs that ended, by how they ended for the runner; a finished job may have failed steps.",
      samples: OUTCOMES.map((outcome) => ({ labels: { outcome }, value: monitor.jobsByOutcome.get(outcome) ?? 0 })),
    },
    {
      name: "infrastructure_faults_total",
      type: "counter",
      help: "Jobs that ended through no fault of theirs, by cause.",
      samples: CAUSES.map((cause) => ({ labels: { cause }, value: monitor.faultsByCause.get(cause) ?? 0 })),
    },
    {
      name: "claim_wait_seconds",
      type: "summary",
      help: "From asking for a job to getting one.",
      samples: [
        { suffix: "_sum", value: monitor.claimWait.seconds },
        { suffix: "_count", value: monitor.claimWait.count },
      ],
    },
    gauge("contact_age_seconds", "Since the control plane last answered.", seconds(monitor.contactAgeMs)),
    gauge(
      "heartbeat_age_seconds",
      "Since the last answered heartbeat, of the job whose is oldest.",
      seconds(monitor.heartbeatAgeMs),
    ),
    counter("log_bytes_sent_total", "Log bytes the control plane has acknowledged.", monitor.logBytesSent),
    gauge("spool_bytes", "Log bytes on the runner's disk.", status.spool_bytes),
    gauge("warm_containers", "Containers that wait for a job.", status.warm?.ready ?? null),
    gauge("warm_containers_wanted", "Containers that should wait for a job.", status.warm?.wanted ?? null),
    counter("clean_up_failures_total", "Sandboxes that were not removed at the first try.", monitor.cleanUpFailures),
    gauge("process_resident_memory_bytes", "Resident memory of the runner.", memory.rss),
    gauge("process_heap_bytes", "Used memory of the runner's heap.", memory.heapUsed),
    counter(
      "process_cpu_seconds_total",
      "Processor time of the runner without its children.",
      (cpu.user + cpu.system) / 1_000_000,
    ),
  ];
}

function seconds(milliseconds: number | null): number | null {
  return milliseconds === null ? null : Math.round(milliseconds) / 1000;
}
