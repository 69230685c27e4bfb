import { readFile, readlink } from "node:fs/promises";
import { execa } from "execa";
import { runnerIsRoot } from "../job-user.ts";
import { SandboxError } from "../sandbox-error.ts";

/**
 * Addresses that answer cloud credentials to whoever asks, and all that is link-local. Azure's 168.63.129.16 is missing: it is
 * that cloud's resolver too.
 */
export const METADATA_NETWORKS = [
  "169.254.0.0/16",
  "100.100.100.200/32",
  "fd00:ec2::/32",
  "fd20:ce::254/128",
  "fe80::a9fe:a9fe/128",
] as const;

const ROUTE_TIMEOUT_MS = 10_000;
const SAFE_NETWORK = /^[0-9a-fA-F:.]{2,45}\/\d{1,3}$/;

/** Arguments of `ip` for each network, IPv4 first. Throws a sentence for people on anything that is not CIDR notation. */
export function planRoutes(networks: readonly string[]): { v4: string[]; v6: string[] } {
  const wrong = networks.find((network) => !SAFE_NETWORK.test(network));
  if (wrong !== undefined) throw new Error(`"${wrong}" is not a network in CIDR notation, for example 10.0.0.0/8.`);
  const line = (network: string) => `route replace prohibit ${network}`;
  return {
    v4: networks.filter((network) => !network.includes(":")).map(line),
    v6: networks.filter((network) => network.includes(":")).map(line),
  };
}

/** Whether this process can set routes in another network namespace by itself. */
export async function canEnterNamespaces(): Promise<boolean> {
  if (!runnerIsRoot()) return false;
  const answers = await Promise.all(
    [execa("nsenter", ["--version"], QUIET), execa("ip", ["-V"], QUIET)].map(async (run) => (await run).exitCode === 0),
  );
  return answers.every(Boolean);
}

const QUIET = { reject: false, stdin: "ignore", timeout: ROUTE_TIMEOUT_MS } as const;

/**
 * Forbids `networks` in the network namespace of process `pid`, from outside. `containerId` guards against a process id of
 * another machine or namespace, where the routes would hit the host: returns false then, and nothing was done.
 */
export async function blockFromOutside(
  pid: number,
  containerId: string,
  networks: readonly string[],
): Promise<boolean> {
  if (!(await isContainerProcess(pid, containerId))) return false;
  const routes = planRoutes(networks);
  await inNamespace(pid, ["ip", "-batch", "-"], routes.v4);
  if (await hasIpv6(pid)) await inNamespace(pid, ["ip", "-6", "-batch", "-"], routes.v6);
  return true;
}

async function isContainerProcess(pid: number, containerId: string): Promise<boolean> {
  if (pid <= 1) return false;
  try {
    const [cgroups, theirs, ours] = await Promise.all([
      readFile(`/proc/${pid}/cgroup`, "utf8"),
      readlink(`/proc/${pid}/ns/net`),
      readlink("/proc/self/ns/net"),
    ]);
    return cgroups.includes(containerId) && theirs !== ours;
  } catch {
    return false;
  }
}

async function hasIpv6(pid: number): Promise<boolean> {
  const interfaces = await readFile(`/proc/${pid}/net/if_inet6`, "utf8").catch(() => "");
  return interfaces.trim() !== "";
}

async function inNamespace(pid: number, command: readonly string[], lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  const result = await execa("nsenter", ["-t", String(pid), "-n", "--", ...command], {
    input: `${lines.join("\n")}\n`,
    timeout: ROUTE_TIMEOUT_MS,
    reject: false,
  });
  if (result.exitCode !== 0) {
    const detail = result.stderr || result.shortMessage || "no reason given";
    throw new SandboxError("network_unavailable", `Cannot forbid metadata addresses to the job: ${detail}`);
  }
}

/** The same from inside the holder, as shell text for a root `exec`; exit code 127 when the image has no `ip`. */
export function blockFromInsideText(networks: readonly string[]): string {
  const routes = planRoutes(networks);
  const v6 = routes.v6.map((line) => `ip -6 ${line} || exit 1`);
  return [
    "command -v ip >/dev/null || exit 127",
    ...routes.v4.map((line) => `ip ${line} || exit 1`),
    `if [ -s /proc/net/if_inet6 ] && grep -q . /proc/net/if_inet6; then ${[...v6, ":"].join("; ")}; fi`,
    "exit 0",
  ].join("\n");
}
