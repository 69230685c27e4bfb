import { readFile } from "node:fs/promises";
import { join } from "node:path";
import Docker from "dockerode";

export const docker = new Docker();

/** The id a runner puts on everything it makes in Docker; null when it never made anything. */
export async function runnerInstanceId(stateDir: string): Promise<string | null> {
  return await readFile(join(stateDir, "instance-id"), "utf8").then(
    (text) => text.trim(),
    () => null,
  );
}

/** Containers, also stopped ones, and networks of a runner; `role` leaves only containers of that role. */
export async function thingsOfRunner(runnerId: string, role?: string): Promise<string[]> {
  const label = [`shipfox.runner=${runnerId}`, ...(role === undefined ? [] : [`shipfox.role=${role}`])];
  const containers = await docker.listContainers({ all: true, filters: { label } });
  const networks = role === undefined ? await docker.listNetworks({ filters: { label } }) : [];
  return [...containers.map(({ Id }) => `container ${Id}`), ...networks.map(({ Id }) => `network ${Id}`)];
}

export async function runsContainers(runnerId: string): Promise<boolean> {
  return (await docker.listContainers({ filters: { label: [`shipfox.runner=${runnerId}`] } })).length > 0;
}

/** Clears up behind a runner that was killed for good. */
export async function removeRunnerThings(stateDir: string): Promise<void> {
  const runnerId = await runnerInstanceId(stateDir);
  if (runnerId === null) return;
  const label = [`shipfox.runner=${runnerId}`];
  // A host-sandbox runner has made nothing here, and a machine without Docker must not fail its tests.
  const containers = await docker.listContainers({ all: true, filters: { label } }).catch(() => []);
  for (const { Id } of containers) await docker.getContainer(Id).remove({ force: true, v: true }).catch(gone);
  const networks = await docker.listNetworks({ filters: { label } }).catch(() => []);
  for (const { Id } of networks) await docker.getNetwork(Id).remove().catch(gone);
}

/** Removed by somebody else meanwhile: the runner's own clean-up, or Docker's. */
function gone(error: Error & { statusCode?: number }): void {
  if (error.statusCode !== 404 && error.statusCode !== 409) throw error;
}
