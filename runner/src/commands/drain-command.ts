import { ControlClient } from "@shipfox/shared/operate/control-client";
import { type Drainage, drainDaemon, type Remaining } from "@shipfox/shared/operate/drain-daemon";
import { ago, type Output } from "@shipfox/shared/operate/output";
import type { Status } from "../operate/status.ts";
import { RUNNER } from "./status-command.ts";

export const DRAIN_HELP = `Usage: shipfox-runner drain [--wait SECONDS] [--json] [--state-dir DIR | --config-file FILE]

Lets the runner of this machine finish what it has: it claims no more jobs, and ends when the last one is over. Jobs that
run longer than its drain timeout are handed back and run elsewhere. Shows what it still waits for until then.
Ctrl-C stops the showing, not the draining.

  --wait SECONDS  wait no longer than this, a day by default; 0 starts the drain and returns

Examples:
  shipfox-runner drain
  shipfox-runner drain --wait 0
  shipfox-runner drain --wait 600 || systemctl kill --signal=SIGKILL shipfox-runner

Exit status:
  0    the runner has ended with every job finished or handed back; with --wait 0: it is draining
  1    it could not be asked, or it ended otherwise
  3    it is still draining and the time is over
  4    no runner is running here
  130  Ctrl-C: it goes on draining`;

export type DrainOptions = Pick<Drainage<Status>, "json" | "waitMs" | "interrupted">;

export function drainCommand(stateFolder: string, options: DrainOptions, output: Output): Promise<number> {
  const client = new ControlClient(stateFolder, RUNNER);
  return drainDaemon({ name: RUNNER.name, client, describe, ...options }, output);
}

function describe({ jobs, draining_since: since }: Status): Remaining {
  const names = jobs.map((job) => `${job.job ?? job.job_id} (${job.step?.name ?? "starting"})`);
  const left =
    jobs.length === 0
      ? "cleaning up"
      : `${jobs.length} ${jobs.length === 1 ? "job" : "jobs"} left: ${names.join(", ")}`;
  return {
    text: `draining for ${since === null ? "0s" : ago(since, Date.now())}; ${left}`,
    mark: `${jobs.length}`,
    document: { jobs },
  };
}
