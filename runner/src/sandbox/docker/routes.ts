import { readFile, readlink } from "node:fs/promises";
import { execa } from "execa";
import { runnerIsRoot } from "../job-user.ts";
import { SandboxError } from "../sandbox-error.ts";
import { type Barriers, planBarriers } from "../network/barriers.ts";
import { formatNetwork, parseNetwork } from "../network/networks.ts";

const ROUTE_TIMEOUT_MS = 10_000;
/** How the engine names the only interface of a place. */
const INTERFACE = "eth0";

export interface RoutePlan {
  v4: string[];
  v6: string[];
}

/**
 * Arguments of `ip` for the barriers of a place whose next hop is `gateway`. The gateway itself, an address of the host, is
 * forbidden as a destination and stays the next hop: that needs no route to it.
 */
export function planRoutes(barriers: Barriers, gateway: string): RoutePlan {
  const own = parseNetwork(gateway);
  const { denied, allowed } = planBarriers({ ...barriers, denied: [...barriers.denied, own] });
  const through = `via ${gateway} dev ${INTERFACE} onlink`;
  const prohibited = (family: number) =>
    denied
      .filter((network) => network.family === family)
      .map((network) => `route replace prohibit ${formatNetwork(network)}`);
  const exceptions = allowed.filter(({ family }) => family === 4);
  return {
    v4: [...exceptions.map((network) => `route replace ${formatNetwork(network)} ${through}`), ...prohibited(4)],
    v6: prohibited(6),
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
 * Sets the routes in the network namespace of process `pid`, from outside. `containerId` guards against a process id of
 * another machine or namespace, where the routes would hit the host: returns false then, and nothing was done.
 */
export async function routeFromOutside(pid: number, containerId: string, routes: RoutePlan): Promise<boolean> {
  if (!(await isContainerProcess(pid, containerId))) return false;
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
    throw new SandboxError("network_unavailable", `Cannot forbid addresses to the job: ${detail}`);
  }
}

/** The same from inside the holder, as shell text for a root `exec`; exit code 127 when the image has no `ip`. */
export function routeFromInsideText(routes: RoutePlan): string {
  const v6 = routes.v6.map((line) => `ip -6 ${line} || exit 1`);
  return [
    "command -v ip >/dev/null || exit 127",
    ...routes.v4.map((line) => `ip ${line} || exit 1`),
    // Files of the kernel have no size: only reading tells.
    `if read -r _ 2>/dev/null </proc/net/if_inet6; then ${[...v6, ":"].join("; ")}; fi`,
    "exit 0",
  ].join("\n");
}
