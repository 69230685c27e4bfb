import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger } from "@shipfox/shared/logger";
import { Guard } from "../guard/guard-process.ts";
import { chooseJobUser } from "../sandbox/job-user.ts";
import { findPrograms, type NamespacePrograms, Namespaces } from "../sandbox/host/namespaces.ts";
import type { RunnerConfig } from "../config.ts";
import { type Check, type Finding, ok, warn } from "@shipfox/shared/operate/check";

/** Whether jobs of the host sandbox get namespaces of their own; one is made and ended again. */
export function namespaceCheck(config: RunnerConfig): Check {
  return { name: "namespaces", run: () => run(config) };
}

async function run(config: RunnerConfig): Promise<Finding> {
  const programs = await findPrograms();
  if (programs === null)
    return warn(
      "unshare, nsenter or setpriv is missing: jobs see each other's processes",
      "Install them, for example with: apt-get install util-linux",
    );
  try {
    await tryNamespaces(programs, config);
    return ok("each job gets PID, IPC and mount namespaces");
  } catch (error) {
    return warn(
      `the kernel refuses them: jobs see each other's processes (${(error as Error).message})`,
      "Allow user namespaces (sysctl kernel.unprivileged_userns_clone=1 and user.max_user_namespaces), run the runner as root, or use the docker sandbox.",
    );
  }
}

async function tryNamespaces(programs: NamespacePrograms, config: RunnerConfig): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "shipfox-doctor-"));
  try {
    const guard = await Guard.start({
      baseUrl: config.apiUrl,
      certificateAuthority: null,
      standstillLimitMs: config.standstillLimitMs,
      lifetimeLimitMs: null,
      logger: createLogger("shipfox-runner", "silent"),
    });
    try {
      const namespaces = await Namespaces.make({
        programs,
        user: chooseJobUser(config.jobUser),
        lifelines: guard,
        folder,
        runnerId: "doctor",
      });
      await namespaces.end();
    } finally {
      await guard.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
