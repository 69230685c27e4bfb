import { readFile } from "node:fs/promises";
import { parseImageReference } from "@shipfox/shared/image-reference";
import type { RunnerConfig } from "../config.ts";
import { DEFAULT_IMAGE, DEFAULT_SUBNET } from "../sandbox/docker/docker-options.ts";
import { LABEL_RUNNER } from "../sandbox/docker/container-options.ts";
import { isPlaceBridge } from "../sandbox/network/firewall.ts";
import { Engine, type EngineInfo } from "../sandbox/docker/engine.ts";
import { formatSubnet, freeBlocks, overlaps, parseSubnet, type Subnet } from "../sandbox/docker/subnets.ts";
import { SandboxError } from "../sandbox/sandbox-error.ts";
import { type Check, type Finding, fail, ok, warn } from "@shipfox/shared/operate/check";
import { parseRoutes } from "./routes-table.ts";

/** Docker Engine 20.10. */
const MIN_API = [1, 41] as const;
const SLOW_DRIVERS = new Set(["vfs", "fuse-overlayfs", "devicemapper"]);
/** A place for each job that runs, for each that waits ahead, and for each that is still being removed. */
const BLOCKS_PER_JOB = 3;

/** The engine, its storage, the runner's image and the networks of the jobs. */
export function dockerChecks(config: RunnerConfig): Check[] {
  const engine = new Engine(config.dockerHost ?? null);
  return [
    { name: "docker", run: () => checkEngine(engine) },
    { name: "docker mode", run: () => whenUp(engine, async () => judgeMode(await engine.info())) },
    { name: "docker storage", run: () => whenUp(engine, async () => judgeStorage(await engine.info())) },
    { name: "image", run: () => whenUp(engine, () => checkImage(engine, config.image ?? DEFAULT_IMAGE)) },
    { name: "job networks", run: () => whenUp(engine, () => checkNetworks(engine, config)) },
  ];
}

async function checkEngine(engine: Engine): Promise<Finding> {
  try {
    await engine.ping();
  } catch (error) {
    const { cause } = error as { cause?: NodeJS.ErrnoException };
    const code = cause?.code;
    const fix =
      code === "EACCES"
        ? 'Let this user use the socket, for example with "usermod -aG docker <user>", and log in again. Members of that group can become root on this machine.'
        : "Install and start Docker Engine (scripts/ensure-docker), set DOCKER_HOST to where it listens, or use SHIPFOX_RUNNER_SANDBOX=host on a machine that is thrown away.";
    // Without the advice of the error, which the fix gives in full.
    return fail(`Docker does not answer at ${engine.address}: ${cause?.message ?? (error as Error).message}`, fix);
  }
  const { Version, ApiVersion, Platform } = await engine.version();
  const text = `${Platform?.Name || "Docker Engine"} ${Version}, API ${ApiVersion}`;
  const [major = 0, minor = 0] = ApiVersion.split(".").map(Number);
  if (major < MIN_API[0] || (major === MIN_API[0] && minor < MIN_API[1]))
    return fail(`${text}: too old`, `Upgrade to Docker Engine 20.10 (API ${MIN_API.join(".")}) or newer.`);
  return ok(text);
}

/** The findings of an engine that is not there say only that; "docker" says why. */
async function whenUp(engine: Engine, check: () => Promise<Finding>): Promise<Finding> {
  try {
    await engine.ping();
  } catch {
    return warn("unknown: Docker does not answer", 'See "docker".');
  }
  return await check();
}

export function judgeMode(info: EngineInfo): Finding {
  const options = info.SecurityOptions ?? [];
  const has = (name: string) => options.some((option) => option.includes(`name=${name}`));
  if (has("userns"))
    return fail(
      "the engine remaps user ids (userns-remap): the steps cannot write to their workspace",
      'Remove "userns-remap" from /etc/docker/daemon.json and restart Docker, or use rootless Docker.',
    );
  if (!has("seccomp"))
    return warn(
      "the engine filters no system calls: seccomp is off",
      "Use a kernel with CONFIG_SECCOMP, and no seccomp-profile=unconfined in /etc/docker/daemon.json.",
    );
  const limits = info.CgroupVersion === undefined ? "" : `, cgroup v${info.CgroupVersion}`;
  return ok(`${has("rootless") ? "rootless" : "rootful"}, seccomp on${limits}`);
}

export function judgeStorage(info: EngineInfo): Finding {
  const driver = info.Driver ?? "unknown";
  if (SLOW_DRIVERS.has(driver))
    return warn(
      `the storage driver ${driver} copies whole layers: jobs start slowly and the disk fills early`,
      'Use overlay2: set "storage-driver" in /etc/docker/daemon.json.',
    );
  return ok(driver);
}

async function checkImage(engine: Engine, image: string): Promise<Finding> {
  if ((await engine.inspectImage(image)) !== null) return ok(`${image} is on this machine`);
  try {
    await engine.registryDigest(parseImageReference(image), null);
    return ok(`${image} is not on this machine yet; its registry has it`);
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    return fail(
      `${image} is neither on this machine nor to be had from a registry`,
      "Run the runner's installer again, which provides one; or build it with scripts/sandbox-image, correct SHIPFOX_RUNNER_IMAGE, or let this machine through to the registry.",
    );
  }
}

async function checkNetworks(engine: Engine, config: RunnerConfig): Promise<Finding> {
  const range = parseSubnet(config.subnet ?? DEFAULT_SUBNET);
  const networks = await engine.listNetworks();
  const subnetsOf = (network: (typeof networks)[number]) =>
    (network.IPAM?.Config ?? []).flatMap(({ Subnet: subnet }) => parseSubnetOrNothing(subnet));
  const ours = networks.filter((network) => network.Labels?.[LABEL_RUNNER] !== undefined).flatMap(subnetsOf);
  const foreign = networks.filter((network) => network.Labels?.[LABEL_RUNNER] === undefined);
  const routes = parseRoutes(await readFile("/proc/net/route", "utf8").catch(() => ""));
  return judgeNetworks({
    range,
    ours,
    networks: foreign.map((network) => ({ name: network.Name, subnets: subnetsOf(network) })),
    routes,
    concurrency: config.concurrency,
  });
}

export function judgeNetworks(facts: {
  range: Subnet;
  ours: readonly Subnet[];
  networks: readonly { name: string; subnets: readonly Subnet[] }[];
  routes: readonly { device: string; subnet: Subnet }[];
  concurrency: number;
}): Finding {
  const { range, ours, networks, routes } = facts;
  const name = formatSubnet(range);
  const fix = "Set SHIPFOX_RUNNER_SUBNET to a network that nothing else uses, such as 10.214.0.0/16.";
  const known = [...ours, ...networks.flatMap(({ subnets }) => subnets)];
  // Docker's own networks are routes of this machine too; those are not told twice.
  const route = routes.find(
    ({ device, subnet }) =>
      overlaps(range, subnet) && !isPlaceBridge(device) && !known.some((other) => isSame(other, subnet)),
  );
  if (route !== undefined)
    return fail(
      `${name} overlaps ${formatSubnet(route.subnet)}, which this machine reaches through ${route.device}: jobs cannot reach that network`,
      fix,
    );
  const network = networks.find(({ subnets }) => subnets.some((subnet) => overlaps(range, subnet)));
  const wanted = facts.concurrency * BLOCKS_PER_JOB;
  const free = freeBlocks(range, known, 0, wanted).length;
  if (free < wanted)
    return fail(
      `${name} has only ${free} free blocks for jobs; ${wanted} are needed for ${facts.concurrency} at once`,
      fix,
    );
  if (network !== undefined)
    return warn(`${name} overlaps the Docker network ${network.name}: its addresses are left out`, fix);
  return ok(`${name} is free`);
}

function isSame(left: Subnet, right: Subnet): boolean {
  return left.address === right.address && left.prefix === right.prefix;
}

function parseSubnetOrNothing(cidr: string | undefined): Subnet[] {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\/(\d{1,2})$/.exec(cidr ?? "");
  if (!match) return [];
  const address = match.slice(1, 5).reduce((sum, part) => sum * 256 + Number(part), 0);
  return [{ address, prefix: Number(match[5]) }];
}
