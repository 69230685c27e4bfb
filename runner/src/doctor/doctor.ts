import { certificateBundle, type RunnerConfig } from "../config.ts";
import { cgroupCheck } from "./cgroup-check.ts";
import { type Check, type Result, runChecks } from "@shipfox/shared/operate/check";
import { credentialCheck } from "./credential-check.ts";
import { dockerChecks } from "./docker-checks.ts";
import { folderChecks } from "./folder-checks.ts";
import { hookChecks } from "./hook-checks.ts";
import { jobUserCheck } from "./job-user-check.ts";
import { namespaceCheck } from "./namespace-check.ts";
import { planeChecks } from "./plane-checks.ts";
import { PlaneProbe } from "./plane-probe.ts";
import { gitChecks } from "./program-checks.ts";

/** Everything that is checked for a runner with these settings. Throws when the CA file is not readable. */
export function examine(config: RunnerConfig): Promise<Result[]> {
  const probe = new PlaneProbe(config.apiUrl, certificateBundle(config));
  const sandboxChecks: Check[] = config.sandbox === "docker" ? dockerChecks(config) : [namespaceCheck(config)];
  return runChecks([
    ...planeChecks(probe),
    credentialCheck(config, probe),
    ...folderChecks(config),
    jobUserCheck(config),
    ...hookChecks(config),
    ...sandboxChecks,
    cgroupCheck,
    ...gitChecks,
  ]);
}
