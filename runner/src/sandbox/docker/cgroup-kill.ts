import { writeFile } from "node:fs/promises";

/**
 * Where the engine puts a container's group of the unified hierarchy: beside version 1, in version 2 with the cgroupfs driver,
 * in version 2 with the systemd driver.
 */
const FOLDERS = [
  (id: string) => `/sys/fs/cgroup/unified/docker/${id}`,
  (id: string) => `/sys/fs/cgroup/docker/${id}`,
  (id: string) => `/sys/fs/cgroup/system.slice/docker-${id}.scope`,
];
const CONTAINER_ID = /^[0-9a-f]{64}$/;

/**
 * Kills every process of a container in one write, also when the engine does not answer. False where the kernel has no
 * `cgroup.kill`, this process may not write it, or the container is not on this machine: the engine has to do it then.
 */
export async function killByCgroup(containerId: string): Promise<boolean> {
  if (!CONTAINER_ID.test(containerId)) return false;
  for (const folder of FOLDERS) {
    try {
      await writeFile(`${folder(containerId)}/cgroup.kill`, "1", { flag: "r+" });
      return true;
    } catch {
      continue;
    }
  }
  return false;
}
