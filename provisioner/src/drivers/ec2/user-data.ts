import { bootFiles } from "../boot-files.ts";
import { cloudConfig, START_RUNNER } from "../cloud-config.ts";
import { type CreateRequest, ProviderError } from "../driver.ts";

/** EC2's limit, before base64. */
const MAX_BYTES = 16_384;
/**
 * The metadata service gives user data, and the credentials of a role, to whoever asks from the machine. From here on it answers root
 * alone. A rule of the kernel's own protocol: systemd-networkd takes away those of others.
 */
const CLOSE_METADATA =
  "ip rule add pref 1 to 169.254.169.254/32 uidrange 1-4294967294 protocol kernel prohibit || " +
  "{ echo 'shipfox: the metadata service could not be closed to steps' >/dev/console; poweroff --force; }";

/**
 * User data for cloud-init: before anything else the metadata service is closed to steps and the end of the machine's life is set,
 * then come the boot files and the runner. Throws ProviderError `refused` when it is more than EC2 takes.
 */
export function userData({ boot, maxLifetimeMs }: Pick<CreateRequest<unknown>, "boot" | "maxLifetimeMs">): string {
  const runnerEnv = { ...boot.runnerEnv, SHIPFOX_RUNNER_MACHINE_NOTICE: "ec2" };
  const text = cloudConfig({
    files: bootFiles({ ...boot, runnerEnv }),
    early: [["sh", "-c", CLOSE_METADATA], endAfter(maxLifetimeMs)],
    commands: [START_RUNNER],
  });
  const bytes = Buffer.from(text);
  if (bytes.length > MAX_BYTES) {
    const message = `the settings of the runner make ${bytes.length} bytes of user data, and EC2 takes ${MAX_BYTES}`;
    throw new ProviderError("refused", message);
  }
  return bytes.toString("base64");
}

/** A machine that powers itself off is terminated. */
function endAfter(maxLifetimeMs: number): string[] {
  const seconds = Math.ceil(maxLifetimeMs / 1_000);
  const timer = ["systemd-run", "--no-block", "--unit=shipfox-lifetime", `--on-active=${seconds}s`];
  return [...timer, "systemctl", "poweroff", "--force"];
}
