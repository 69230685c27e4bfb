import type { RunnerConfig } from "../config.ts";
import { chooseJobUser, currentUser } from "../sandbox/job-user.ts";
import { type Check, type Finding, ok, warn } from "@shipfox/shared/operate/check";

/** As whom the steps run. */
export function jobUserCheck(config: RunnerConfig): Check {
  return { name: "job user", run: async () => judge(config) };
}

function judge(config: RunnerConfig): Finding {
  const runner = currentUser();
  const steps = chooseJobUser(config.jobUser);
  const who = `steps run as ${steps.uid}:${steps.gid}`;
  if (steps.uid === 0)
    return warn(`${who}: root`, "Set SHIPFOX_RUNNER_JOB_USER to a user without rights, or leave it unset.");
  if (runner.uid === 0)
    return warn(
      `${who}, the runner itself as root`,
      "Run the runner as a user of its own; the unit file in runner/systemd does.",
    );
  if (config.sandbox === "host")
    return warn(
      `${who}, the runner's own user: they can read its credential`,
      "Use the docker sandbox; or run the runner as root, which gives the steps another user, on a machine that is thrown away.",
    );
  if (config.jobUser !== null && config.jobUser.uid !== runner.uid)
    return warn(`${who}: only a runner that is root can choose another user`, "Remove SHIPFOX_RUNNER_JOB_USER.");
  return ok(who);
}
