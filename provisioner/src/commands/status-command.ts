import { ControlClient } from "@shipfox/shared/operate/control-client";
import { explainFailure } from "@shipfox/shared/operate/control-failure";
import { EXIT_NOT_YET, EXIT_OK } from "@shipfox/shared/operate/exit-status";
import { ago, type Cell, type Color, oneLine, type Output, renderTable } from "@shipfox/shared/operate/output";
import { describeHealth, type Status, statusSchema } from "../status.ts";

export const STATUS_HELP = `Usage: shipfox-provisioner status [--json] [--state-dir DIR | --config-file FILE]

Shows the provisioner that runs on this machine with this state folder: whether it is well, and what each template has.

Examples:
  shipfox-provisioner status
  shipfox-provisioner status --json | jq '.templates[] | select(.circuit != "closed")'

Exit status:
  0  healthy, draining, or another daemon works with its token
  1  it could not be asked
  3  unhealthy; the reason is shown
  4  no provisioner is running here`;

/** Whom the commands of this machine talk to. */
export const PROVISIONER = { name: "provisioner", statusSchema };

export async function statusCommand(stateDir: string, json: boolean, output: Output): Promise<number> {
  try {
    const status = await new ControlClient(stateDir, PROVISIONER).status();
    output.print(json ? JSON.stringify(status, null, 2) : renderStatus(status, output, Date.now()));
    return status.health.state === "unhealthy" ? EXIT_NOT_YET : EXIT_OK;
  } catch (error) {
    return explainFailure(error, "shipfox-provisioner", output);
  }
}

const HEALTH_COLORS: Record<Status["health"]["state"], Color> = {
  healthy: "green",
  unhealthy: "red",
  read_only: "yellow",
  draining: "yellow",
};

function renderStatus(status: Status, output: Output, now: number): string {
  const { health, machines } = status;
  const since = (at: string | null) => (at === null ? "never" : `${ago(at, now)} ago`);
  const facts: [string, string][] = [
    ["health", output.color(HEALTH_COLORS[health.state], oneLine(describeHealth(health)))],
    ["version", status.version],
    ["up", `${ago(status.started_at, now)}, process ${status.pid}`],
    ["pool", `${status.pool}, of the provider ${status.provider}`],
    ["jobs asked for", since(status.last_poll_at)],
    ["machines listed", since(status.last_list_at)],
    ["left alone", `${machines.foreign} foreign machines, ${machines.unknown} that are in no record`],
    ["missing", `${machines.doubted} that the last list does not show`],
    ["deletions", `${machines.deletions_waiting} wait for the limit on them`],
  ];
  if (status.templates_fault !== null)
    facts.splice(1, 0, ["templates", output.color("red", `refused: ${oneLine(status.templates_fault)}`)]);
  const width = Math.max(...facts.map(([name]) => name.length));
  const lines = facts.map(([name, value]) => `${output.color("dim", name.padEnd(width))}  ${value}`);
  const head = ["TEMPLATE", "STARTING", "IDLE", "BUSY", "LEAVING", "CIRCUIT", "FAULT"];
  return [...lines, "", renderTable(output, head, status.templates.map(templateRow))].join("\n");
}

function templateRow(one: Status["templates"][number]): Cell[] {
  const again = one.next_try_at === null ? "" : ` (next try ${one.next_try_at})`;
  const circuit: Cell = one.circuit === "closed" ? { text: one.circuit } : { text: one.circuit, color: "red" };
  const counts = [one.starting, one.idle, one.busy, one.leaving].map((count) => ({ text: `${count}` }));
  return [{ text: one.template_key }, ...counts, circuit, { text: one.fault === null ? "" : `${one.fault}${again}` }];
}
