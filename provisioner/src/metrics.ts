import type { Metric } from "@shipfox/shared/operate/metrics-text";
import { renderMetricsText } from "@shipfox/shared/operate/metrics-text";
import { VERSION } from "@shipfox/shared/version";
import type { Counter, Monitor } from "./monitor.ts";
import type { Status } from "./status.ts";

const COUNTERS: readonly Counter[] = [
  "created",
  "deleted",
  "boot_failures",
  "lost",
  "adopted",
  "lists",
  "doubted_lists",
];
const FAULTS = ["throttled", "no_capacity", "quota", "refused", "unavailable"] as const;
const STATES = ["starting", "idle", "busy", "leaving"] as const;
const MAX_TEMPLATES = 1_000;

/** The labels are closed lists, but for the template keys, of which the first 1,000 are shown. */
export function renderMetrics(monitor: Monitor, status: Status): string {
  const templates = status.templates.slice(0, MAX_TEMPLATES);
  const gauge = (name: string, help: string, value: number): Metric => ({
    name,
    type: "gauge",
    help,
    samples: [{ value }],
  });
  return renderMetricsText("shipfox_provisioner", [
    {
      name: "build_info",
      type: "gauge",
      help: "1, with the version as label.",
      samples: [{ labels: { version: VERSION }, value: 1 }],
    },
    gauge("start_time_seconds", "When the process started, Unix time.", monitor.startedAt / 1_000),
    gauge("healthy", "0 while something is wrong.", status.health.state === "unhealthy" ? 0 : 1),
    gauge("read_only", "1 while another daemon works with the token.", status.held_by === null ? 0 : 1),
    gauge("draining", "1 while it makes no machines and waits for the busy ones.", monitor.draining ? 1 : 0),
    gauge(
      "templates_refused",
      "1 while the templates file is not the one in use.",
      status.templates_fault === null ? 0 : 1,
    ),
    gauge("machines_foreign", "Machines of the pool that are not ours by their tags.", status.machines.foreign),
    gauge("machines_unknown", "Machines that are in no record.", status.machines.unknown),
    gauge("machines_doubted", "Machines that the last list missed and that may be there.", status.machines.doubted),
    gauge("deletions_waiting", "Deletions held back by the rate limit.", status.machines.deletions_waiting),
    {
      name: "instances",
      type: "gauge",
      help: "Instances by template and by what they do.",
      samples: templates.flatMap((one) =>
        STATES.map((state) => ({ labels: { template: one.template_key, state }, value: one[state] })),
      ),
    },
    {
      name: "circuit_open",
      type: "gauge",
      help: "1 while the circuit of a template is not closed.",
      samples: templates.map((one) => ({
        labels: { template: one.template_key },
        value: one.circuit === "closed" ? 0 : 1,
      })),
    },
    ...COUNTERS.map(
      (name): Metric => ({
        name: `${name}_total`,
        type: "counter",
        help: `Since the start: ${name.replaceAll("_", " ")}.`,
        samples: [{ value: monitor.counters.get(name) ?? 0 }],
      }),
    ),
    {
      name: "provider_errors_total",
      type: "counter",
      help: "Failed calls to the provider, by fault.",
      samples: FAULTS.map((fault) => ({ labels: { fault }, value: monitor.providerErrors.get(fault) ?? 0 })),
    },
  ]);
}
