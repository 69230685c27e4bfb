import { ControlClient } from "@shipfox/shared/operate/control-client";
import { explainFailure } from "@shipfox/shared/operate/control-failure";
import { type Status, statusSchema } from "../operate/status.ts";
import { EXIT_NOT_YET, EXIT_OK } from "@shipfox/shared/operate/exit-status";
import {
  ago,
  type Color,
  formatBytes,
  formatSeconds,
  oneLine,
  type Output,
  renderTable,
} from "@shipfox/shared/operate/output";

export const STATUS_HELP = `Usage: shipfox-runner status [--json] [--state-dir DIR | --config-file FILE]

Shows the runner that runs on this machine with this state folder: what it does, whether it is well, and since when.

Examples:
  shipfox-runner status
  shipfox-runner status --state-dir /var/lib/shipfox-runner --json | jq .health

Exit status:
  0  healthy, or draining
  1  it could not be asked
  3  unhealthy; the reason is shown
  4  no runner is running here`;

/** Whom the commands of this machine talk to. */
export const RUNNER = { name: "runner", statusSchema };

export async function statusCommand(stateFolder: string, json: boolean, output: Output): Promise<number> {
  try {
    const status = await new ControlClient(stateFolder, RUNNER).status();
    output.print(json ? JSON.stringify(status, null, 2) : renderStatus(status, output, Date.now()));
    return status.health.state === "unhealthy" ? EXIT_NOT_YET : EXIT_OK;
  } catch (error) {
    return explainFailure(error, "shipfox-runner", output);
  }
}

const HEALTH_COLORS: Record<Status["health"]["state"], Color> = {
  healthy: "green",
  unhealthy: "red",
  draining: "yellow",
};

export function renderStatus(status: Status, output: Output, now: number): string {
  const { health, warm, guard } = status;
  const healthText = health.reason === null ? health.state : `${health.state}: ${oneLine(health.reason)}`;
  const facts: [string, string][] = [
    ["health", output.color(HEALTH_COLORS[health.state], healthText)],
    ["version", status.version],
    ["up", `${formatSeconds(status.uptime_seconds)}, process ${status.pid}`],
    ["control plane", status.api_url],
    ["last contact", status.last_contact_at === null ? "never" : `${ago(status.last_contact_at, now)} ago`],
    ["runner", status.runner_id ?? "not registered yet"],
    ["session", status.session === null ? "none" : `${status.session.id}, ${ago(status.session.opened_at, now)}`],
    ["labels", status.labels.join(", ")],
    ["sandbox", status.sandbox],
    ["jobs", `${status.jobs.length} of ${status.concurrency} at once`],
    ["warm", warm === null ? "none" : `${warm.ready} of ${warm.wanted} containers`],
    ["log spool", formatBytes(status.spool_bytes)],
    ["guard", guard === null ? "none" : `${guard.state}${guard.pid === null ? "" : `, process ${guard.pid}`}`],
  ];
  if (status.draining_since !== null) facts.splice(1, 0, ["draining", `for ${ago(status.draining_since, now)}`]);
  const width = Math.max(...facts.map(([name]) => name.length));
  const lines = [
    output.color("bold", oneLine(status.name)),
    ...facts.map(([name, value]) => `  ${output.color("dim", name.padEnd(width))}  ${value}`),
  ];
  if (status.jobs.length > 0) lines.push("", renderJobs(status, output, now));
  return lines.join("\n");
}

function renderJobs(status: Status, output: Output, now: number): string {
  const rows = status.jobs.map((job) => [
    { text: job.run_number === null ? job.run_id : `${job.project} / ${job.workflow} #${job.run_number}` },
    { text: job.job ?? job.job_id },
    { text: ago(job.started_at, now) },
    { text: job.step?.name ?? "starting", color: "cyan" as const },
    { text: job.step === null ? "" : ago(job.step.started_at, now) },
    { text: job.run_id, color: "dim" as const },
  ]);
  return renderTable(output, ["RUN", "JOB", "SINCE", "STEP", "SINCE", "RUN ID"], rows);
}
