import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const DOCKER_TIMEOUT_MS = 60_000;
const REMOVAL_LIMIT_MS = 60_000;
const POLL_MS = 300;
/** The label that the runner puts on everything it makes; its value is the runner's instance id. */
const RUNNER_LABEL = "shipfox.runner";

/**
 * Removes the containers and networks of the runner with this state folder, for one that could not do it itself. Containers
 * of a killed runner end and go away by themselves meanwhile, so what counts is that nothing is left, not who removed it.
 */
export async function removeSandboxes(stateDir: string): Promise<void> {
  const id = readInstanceId(stateDir);
  if (id === null) return;
  const filter = ["--quiet", "--no-trunc", "--filter", `label=${RUNNER_LABEL}=${id}`];
  const giveUpAt = performance.now() + REMOVAL_LIMIT_MS;
  for (;;) {
    const containers = await docker(["ps", "--all", ...filter]);
    const networks = await docker(["network", "ls", ...filter]);
    if (containers.length + networks.length === 0) return;
    if (performance.now() > giveUpAt) {
      throw new Error(
        `${containers.length} containers and ${networks.length} networks of the runner cannot be removed`,
      );
    }
    if (containers.length > 0) await docker(["rm", "--force", "--volumes", ...containers]).catch(() => {});
    else await docker(["network", "rm", ...networks]).catch(() => {});
    await sleep(POLL_MS);
  }
}

function readInstanceId(stateDir: string): string | null {
  try {
    return readFileSync(join(stateDir, "instance-id"), "utf8").trim();
  } catch {
    return null;
  }
}

async function docker(args: readonly string[]): Promise<string[]> {
  const { stdout } = await promisify(execFile)("docker", [...args], { timeout: DOCKER_TIMEOUT_MS });
  return stdout.split("\n").filter((line) => line !== "");
}
