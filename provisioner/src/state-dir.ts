import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "@shipfox/shared/config";
import { takeLock } from "@shipfox/shared/process-lock";

/** Makes the state folder this process's alone until it ends. Throws ConfigError while another provisioner has it. */
export function takeStateDir(stateDir: string): void {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const other = takeLock(join(stateDir, "lock"));
  if (other !== null)
    throw new ConfigError(
      `Another provisioner (process ${other}) uses ${stateDir}; give each its own SHIPFOX_PROVISIONER_STATE_DIR.`,
    );
}
