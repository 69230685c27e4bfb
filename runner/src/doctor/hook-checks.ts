import { findProgramFault } from "@shipfox/shared/program-fault";
import type { RunnerConfig } from "../config.ts";
import { type Check, type Finding, fail, ok } from "@shipfox/shared/operate/check";

/** Whether the operator's hooks may be run as the runner; nothing without hooks. */
export function hookChecks(config: RunnerConfig): Check[] {
  const hooks = { "pre-job hook": config.preJobHook, "post-job hook": config.postJobHook };
  return Object.entries(hooks).flatMap(([name, path]) =>
    path === undefined ? [] : [{ name, run: () => checkHook(path) }],
  );
}

async function checkHook(path: string): Promise<Finding> {
  const fault = await findProgramFault(path);
  if (fault === null) return ok(path);
  return fail(
    fault,
    "A hook and every folder above it must be writable by root and the runner's user only, and the hook executable: see chown and chmod.",
  );
}
