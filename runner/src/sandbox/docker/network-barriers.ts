import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import { SandboxError } from "../sandbox-error.ts";
import { type Barriers, METADATA_NETWORKS, fingerprint, isReachable } from "../network/barriers.ts";
import type { DockerSettings } from "./docker-options.ts";
import type { Engine } from "./engine.ts";
import { Firewall } from "../network/firewall.ts";
import { hostAddresses } from "./host-addresses.ts";
import { formatNetwork, parseNetwork } from "../network/networks.ts";
import { canEnterNamespaces, planRoutes, routeFromInsideText, routeFromOutside } from "./routes.ts";
import { runExec } from "./run-exec.ts";

const ROUTES_TIMEOUT_MS = 15_000;
const NO_IP_PROGRAM_EXIT_CODE = 127;

/**
 * Keeps jobs from metadata addresses, from this host's own addresses, from other jobs' networks and from what the operator
 * lists: by routes in each place, and by rules of the host's firewall where the runner may set them.
 */
export class NetworkBarriers {
  readonly #engine: Engine;
  readonly #settings: DockerSettings;
  readonly #logger: Logger;
  #firewall: Firewall | null = null;
  /** Known after `prepare`: set routes from the host, or from inside a holder that may administer its network. */
  entersNamespaces = false;
  /** What jobs can reach against the settings, or cannot although they need it; a sentence each for the operator. */
  readonly gaps = new Set<string>();

  constructor(engine: Engine, settings: DockerSettings) {
    this.#engine = engine;
    this.#settings = settings;
    this.#logger = settings.logger;
  }

  async prepare(): Promise<void> {
    if (this.#settings.egress === "none") return;
    this.entersNamespaces = await canEnterNamespaces();
    if (this.#settings.firewall === "auto" && (await Firewall.isUsable())) {
      this.#firewall ??= new Firewall(this.#settings.runnerId, "bridges", this.#logger);
      await this.#firewall.sweep();
      await this.#firewall.assert(await this.#outside());
    }
    await this.#checkResolver();
  }

  /** To be called when every place is gone. */
  async close(): Promise<void> {
    await this.#firewall?.close();
    this.#firewall = null;
  }

  /** Changes when the barriers do, for example because an interface of the host came or went. */
  async version(): Promise<string> {
    return fingerprint(await this.#barriers());
  }

  /**
   * Before anything of a job runs in the network namespace of the container, and again when `version` changed. `gateway` is the
   * next hop of its network. False when it cannot be done from here, but perhaps by a container that may administer its network.
   */
  async raise(containerId: string, gateway: string): Promise<boolean> {
    const barriers = await this.#barriers();
    await this.#firewall?.assert(await this.#outside());
    const routes = planRoutes(barriers, gateway);
    if (this.entersNamespaces) {
      const info = await this.#engine.inspectContainer(containerId);
      return await routeFromOutside(info?.State.Pid ?? 0, containerId, routes);
    }
    const command = ["/bin/sh", "-c", routeFromInsideText(routes)];
    const result = await runExec(this.#engine, containerId, command, "0:0", ROUTES_TIMEOUT_MS);
    if (result.exitCode === NO_IP_PROGRAM_EXIT_CODE) this.#report(NO_ROUTES);
    else if (result.exitCode !== 0) {
      throw new SandboxError("network_unavailable", `Cannot forbid addresses to the job: ${result.output}`);
    }
    return true;
  }

  async #barriers(): Promise<Barriers> {
    const { denied, allowed } = await this.#outside();
    return { denied: [...denied, parseNetwork(this.#settings.subnet)], allowed };
  }

  /**
   * Without the networks of other jobs. The host's firewall must not know of them: it may see what passes between the
   * containers of one place. They are kept apart by the routes and by the engine.
   */
  async #outside(): Promise<Barriers> {
    const { deniedNetworks, allowedNetworks } = this.#settings;
    return {
      denied: [...METADATA_NETWORKS, ...deniedNetworks, ...(await this.#hostAddresses())],
      allowed: allowedNetworks,
    };
  }

  /** Without those of job networks, which come and go: their range is denied as a whole. */
  async #hostAddresses() {
    const jobs = { denied: [parseNetwork(this.#settings.subnet)], allowed: [] };
    return (await hostAddresses()).filter((address) => isReachable(jobs, address));
  }

  /** A name server that is itself on the host or link-local would leave jobs without names, which is hard to find out. */
  async #checkResolver(): Promise<void> {
    const servers = this.#settings.dns.length > 0 ? this.#settings.dns : nameServers(await readResolverFile());
    const barriers = await this.#barriers();
    for (const server of servers.map(parseNetwork)) {
      if (isReachable(barriers, server)) continue;
      const address = formatNetwork(server).replace(/\/.*/, "");
      this.#report(
        `Jobs cannot reach the name server ${address}: it is among the denied addresses. List it in SHIPFOX_RUNNER_ALLOW_ADDRESSES, or name another with SHIPFOX_RUNNER_DNS.`,
      );
    }
  }

  #report(gap: string): void {
    if (this.gaps.has(gap)) return;
    this.gaps.add(gap);
    this.#logger.warn(gap);
  }
}

const NO_ROUTES =
  "Jobs can reach cloud metadata addresses such as 169.254.169.254 and this host: the runner may not set routes from outside " +
  "(root, nsenter, ip) and its image has no ip program. Install iproute2 in the image, or block the addresses on the host.";

/** Those of `/etc/resolv.conf` that the engine hands on; it replaces loopback ones or asks them from the host. */
export function nameServers(resolvConf: string): string[] {
  const addresses = resolvConf.split("\n").map((line) => /^\s*nameserver\s+([0-9a-fA-F:.]+)\s*$/.exec(line)?.[1] ?? "");
  return addresses.filter((address) => address !== "" && !address.startsWith("127.") && address !== "::1");
}

async function readResolverFile(): Promise<string> {
  return await readFile("/etc/resolv.conf", "utf8").catch(() => "");
}
