import { ControlClient } from "@shipfox/shared/operate/control-client";
import { type Drainage, drainDaemon, type Remaining } from "@shipfox/shared/operate/drain-daemon";
import type { Output } from "@shipfox/shared/operate/output";
import type { Status } from "../status.ts";
import { PROVISIONER } from "./status-command.ts";

export const DRAIN_HELP = `Usage: shipfox-provisioner drain [--wait SECONDS] [--json] [--state-dir DIR | --config-file FILE]

Lets the provisioner of this machine make no more machines: those without a job are removed, those with one when it is over;
then the provisioner ends. Shows what it still waits for until then. Ctrl-C stops the showing, not the draining.

  --wait SECONDS  wait no longer than this, a day by default; 0 starts the drain and returns

Examples:
  shipfox-provisioner drain
  shipfox-provisioner drain --wait 0
  shipfox-provisioner drain --wait 3600 || shipfox-provisioner status

Exit status:
  0    the provisioner has ended and left no machine behind; with --wait 0: it is draining
  1    it could not be asked, or it ended otherwise
  3    it is still draining and the time is over
  4    no provisioner is running here
  130  Ctrl-C: it goes on draining`;

export type DrainOptions = Pick<Drainage<Status>, "json" | "waitMs" | "interrupted">;

export function drainCommand(stateDir: string, options: DrainOptions, output: Output): Promise<number> {
  const client = new ControlClient(stateDir, PROVISIONER);
  return drainDaemon({ name: PROVISIONER.name, client, describe, ...options }, output);
}

function describe({ templates }: Status): Remaining {
  const left = templates.reduce((sum, one) => sum + one.starting + one.idle + one.busy + one.leaving, 0);
  const busy = templates.reduce((sum, one) => sum + one.busy, 0);
  const text = `draining: ${left} instances left, ${busy} with a job`;
  return { text, mark: text, document: { left, busy } };
}
