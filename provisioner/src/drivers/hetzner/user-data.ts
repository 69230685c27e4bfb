import { bootFiles } from "../boot-files.ts";
import { cloudConfig, START_RUNNER } from "../cloud-config.ts";
import { type BootData, ProviderError } from "../driver.ts";

/** What the API takes. */
const MAX_BYTES = 32 * 1024;
const SECOND_MS = 1_000;

/**
 * The metadata service hands the user data, and the token in it, to whoever asks it in the machine. cloud-init has read it before
 * this runs, and nothing in the machine asks again: it is shut before the files with the token are there. A machine in which that
 * cannot be done ends at once.
 */
export const SHUT_METADATA = [
  "sh",
  "-c",
  `PATH=$PATH:/usr/sbin:/sbin
nft 'add table inet shipfox_metadata
add chain inet shipfox_metadata output { type filter hook output priority 0; }
add chain inet shipfox_metadata forward { type filter hook forward priority 0; }
add rule inet shipfox_metadata output ip daddr 169.254.169.254 reject
add rule inet shipfox_metadata output ip6 daddr fe80::a9fe:a9fe reject
add rule inet shipfox_metadata forward ip daddr 169.254.169.254 reject' || {
iptables -I OUTPUT -d 169.254.169.254 -j REJECT &&
iptables -I FORWARD -d 169.254.169.254 -j REJECT &&
ip6tables -I OUTPUT -d fe80::a9fe:a9fe -j REJECT
} || systemctl --force poweroff`,
] as const;

/** Text for cloud-init of the image. Rejects with `refused` when it is more than the API takes. */
export function userData({ boot, maxLifetimeMs }: { boot: BootData; maxLifetimeMs: number }): string {
  const lifetime = `--on-active=${Math.ceil(maxLifetimeMs / SECOND_MS)}s`;
  const text = cloudConfig({
    files: bootFiles(boot),
    early: [SHUT_METADATA],
    commands: [
      ["systemd-run", "--quiet", "--unit=shipfox-lifetime", lifetime, "systemctl", "--force", "poweroff"],
      START_RUNNER,
    ],
  });
  if (Buffer.byteLength(text) > MAX_BYTES)
    throw new ProviderError("refused", `the settings of the runner make more than ${MAX_BYTES} bytes of user data`);
  return text;
}
