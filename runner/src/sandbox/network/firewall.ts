import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { execa } from "execa";
import type { Logger } from "pino";
import { runnerIsRoot } from "../job-user.ts";
import { SandboxError } from "../sandbox-error.ts";
import { type Barriers, planBarriers } from "./barriers.ts";
import { formatNetwork } from "./networks.ts";

/** An interface name has at most 15 characters: 3 + 5 for the runner, 7 for the place. */
const BRIDGE_PREFIX = "sfx";
const RUNNER_DIGITS = 5;
const PLACE_DIGITS = 7;
const CHAIN_PREFIX = "SHIPFOX-";
const COMMENT_PREFIX = "shipfox-runner";
const CALL_TIMEOUT_MS = 10_000;
const LOCK_WAIT_SECONDS = "5";

/** What all bridges of one runner begin with, so that a rule can name them all, also those that come later. */
export function bridgePrefix(runnerId: string): string {
  return `${BRIDGE_PREFIX}${createHash("sha256").update(runnerId).digest("hex").slice(0, RUNNER_DIGITS)}`;
}

/** Whether a network device is the bridge of a job's place, of this runner or of another one on the machine. */
export function isPlaceBridge(device: string): boolean {
  return device.startsWith(BRIDGE_PREFIX);
}

export function bridgeName(runnerId: string, placeId: string): string {
  return `${bridgePrefix(runnerId)}${placeId.slice(0, PLACE_DIGITS)}`;
}

/** Whose packets the rules are for: what comes over the bridges of this runner's places, or what a user of this machine sends. */
export type FirewallScope = "bridges" | { readonly uid: number };

type Program = "iptables" | "ip6tables";

/** One rule that leads from a chain of the host into one of ours. */
interface Jump {
  from: string;
  to: string;
  /** Which packets go there. */
  match: readonly string[];
}

/** Clouds also answer names at a link-local address. */
const NAME_SERVERS = "169.254.0.0/16";

/** Input of `iptables-restore --noflush`: makes or refills our own chains in one transaction, and touches no other. */
export function planChains(program: Program, prefix: string, scope: FirewallScope, barriers: Barriers): string {
  const family = program === "iptables" ? 4 : 6;
  const { out, toHost, user } = chainsOf(prefix);
  const { denied } = planBarriers(barriers);
  const ofFamily = (networks: Barriers["denied"]) => networks.filter((network) => network.family === family);
  const rejection = family === 4 ? "icmp-admin-prohibited" : "icmp6-adm-prohibited";
  // Narrower first: like routes, of two rules that overlap the narrower one holds.
  const rules = [
    ...ofFamily(barriers.allowed).map((network) => ({ network, action: "RETURN" })),
    ...ofFamily(denied).map((network) => ({ network, action: `REJECT --reject-with ${rejection}` })),
  ].sort((a, b) => b.network.prefix - a.network.prefix);
  if (scope !== "bridges") {
    const names = ["udp", "tcp"].map((protocol) => `-A ${user} -d ${NAME_SERVERS} -p ${protocol} --dport 53 -j RETURN`);
    return [
      "*filter",
      `:${user} - [0:0]`,
      ...(family === 4 ? names : []),
      ...rules.map(({ network, action }) => `-A ${user} -d ${formatNetwork(network)} -j ${action}`),
      "COMMIT",
      "",
    ].join("\n");
  }
  return [
    "*filter",
    `:${out} - [0:0]`,
    `:${toHost} - [0:0]`,
    ...rules.map(({ network, action }) => `-A ${out} -d ${formatNetwork(network)} -j ${action}`),
    `-A ${toHost} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN`,
    // Neighbour discovery, without which nothing of IPv6 works.
    ...(family === 6 ? [`-A ${toHost} -p ipv6-icmp -j RETURN`] : []),
    ...rules.map(({ network, action }) => `-A ${toHost} -d ${formatNetwork(network)} -j ${action}`),
    `-A ${toHost} -j REJECT --reject-with ${rejection}`,
    "COMMIT",
    "",
  ].join("\n");
}

function chainsOf(prefix: string): { out: string; toHost: string; user: string } {
  const named = (what: string) => `${CHAIN_PREFIX}${prefix}-${what}`;
  return { out: named("OUT"), toHost: named("HOST"), user: named("USER") };
}

/**
 * Rules of the host's firewall for a runner that is root: own chains for the bridges or for the steps' user of this runner alone,
 * made again whenever they are found missing, removed at `close`. A rule that is not ours is never touched.
 */
export class Firewall {
  readonly #prefix: string;
  readonly #scope: FirewallScope;
  readonly #logger: Logger;
  /** One change at a time: looking for a rule and adding it are two calls. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(runnerId: string, scope: FirewallScope, logger: Logger) {
    this.#prefix = bridgePrefix(runnerId);
    this.#scope = scope;
    this.#logger = logger;
  }

  /** Whether this process may set rules on this machine. */
  static async isUsable(): Promise<boolean> {
    if (!runnerIsRoot()) return false;
    const answers = await Promise.all(
      (["iptables", "ip6tables"] as const).map((program) => call(program, ["-S", "INPUT"])),
    );
    return answers.every((answer) => answer !== null);
  }

  /** Makes all rules as `barriers` say; safe to repeat, as after a reload of the host's firewall. */
  async assert(barriers: Barriers): Promise<void> {
    await this.#inTurn(async () => {
      for (const program of ["iptables", "ip6tables"] as const) {
        await restore(program, planChains(program, this.#prefix, this.#scope, barriers));
        for (const jump of await this.#jumps(program)) await this.#ensureJump(program, jump);
      }
    });
  }

  /** Removes what `assert` made. */
  async close(): Promise<void> {
    await this.#inTurn(async () => await removeRunner(this.#prefix));
  }

  /** Removes the rules of runners of this machine that died without doing so. */
  async sweep(): Promise<void> {
    await this.#inTurn(async () => {
      const rules = (await call("iptables", ["-S"])) ?? "";
      for (const prefix of deadRunners(rules, isAlive)) {
        if (prefix === this.#prefix) continue;
        this.#logger.info({ bridges: prefix }, "removing the firewall rules of a runner that has died");
        await removeRunner(prefix);
      }
    });
  }

  async #jumps(program: Program): Promise<Jump[]> {
    const { out, toHost, user } = chainsOf(this.#prefix);
    if (this.#scope !== "bridges")
      return [{ from: "OUTPUT", to: user, match: ["-m", "owner", "--uid-owner", String(this.#scope.uid)] }];
    const forward = (await call(program, ["-S", "DOCKER-USER"])) === null ? "FORWARD" : "DOCKER-USER";
    const match = ["-i", `${this.#prefix}+`];
    return [
      { from: forward, to: out, match },
      { from: "INPUT", to: toHost, match },
    ];
  }

  async #ensureJump(program: Program, { from, to, match }: Jump): Promise<void> {
    const comment = ["-m", "comment", "--comment", `${COMMENT_PREFIX} ${ownIdentity()}`];
    const rule = [...match, ...comment, "-j", to];
    if ((await call(program, ["-C", from, ...rule])) !== null) return;
    // One with the identity of an earlier process of this runner.
    await removeJumps(program, to, (await call(program, ["-S", from])) ?? "");
    if ((await call(program, ["-I", from, "1", ...rule])) === null)
      throw new SandboxError("network_unavailable", `Cannot set the firewall rules of jobs (${program} -I ${from}).`);
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return await result;
  }
}

async function removeRunner(prefix: string): Promise<void> {
  for (const program of ["iptables", "ip6tables"] as const) {
    const rules = (await call(program, ["-S"])) ?? "";
    for (const chain of Object.values(chainsOf(prefix))) {
      if (!rules.includes(`-N ${chain}\n`)) continue;
      await removeJumps(program, chain, rules);
      await call(program, ["-F", chain]);
      await call(program, ["-X", chain]);
    }
  }
}

/** `rules` as `-S` lists them. */
async function removeJumps(program: Program, to: string, rules: string): Promise<void> {
  for (const rule of rulesInto(to, rules)) await call(program, ["-D", ...rule]);
}

/** The rules of `listing` (as of `iptables -S`) that jump to `chain`, as arguments of `-D`. */
export function rulesInto(chain: string, listing: string): string[][] {
  const words = (line: string) => (line.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ""));
  return listing
    .split("\n")
    .filter((line) => line.startsWith("-A ") && line.endsWith(` -j ${chain}`))
    .map((line) => words(line).slice(1));
}

/** Bridge prefixes of the runners that the rules name and that `isLive` denies. */
export function deadRunners(listing: string, isLive: (identity: string) => boolean): string[] {
  const pattern = new RegExp(
    `--comment "${COMMENT_PREFIX} (\\S+)" -j ${CHAIN_PREFIX}(${BRIDGE_PREFIX}[0-9a-f]{${RUNNER_DIGITS}})-`,
  );
  const found = listing.split("\n").flatMap((line) => pattern.exec(line) ?? []);
  const dead = new Set<string>();
  for (let at = 0; at < found.length; at += 3) {
    if (!isLive(found[at + 1] ?? "")) dead.add(found[at + 2] ?? "");
  }
  return [...dead];
}

/** Process id, start time and process namespace: an id alone may belong to another process by now. */
function ownIdentity(): string {
  return `${process.pid}@${startTimeOf(process.pid)}@${pidNamespace()}`;
}

/** A process of another namespace cannot be looked up, so it counts as alive. */
function isAlive(identity: string): boolean {
  const [pid = "", startTime, namespace] = identity.split("@");
  return namespace !== pidNamespace() || startTimeOf(Number(pid)) === startTime;
}

function startTimeOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
  } catch {
    return null;
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid").replace(/\D/g, "");
  } catch {
    return "unknown";
  }
}

async function restore(program: Program, input: string): Promise<void> {
  const result = await execa(`${program}-restore`, ["--noflush", "-w", LOCK_WAIT_SECONDS], {
    input,
    timeout: CALL_TIMEOUT_MS,
    reject: false,
  });
  if (result.exitCode === 0) return;
  const detail = result.stderr || result.shortMessage || "no reason given";
  throw new SandboxError(
    "network_unavailable",
    `Cannot set the firewall rules of jobs (${program}-restore): ${detail}`,
  );
}

/** What it printed; null when it failed. */
async function call(program: Program, command: readonly string[]): Promise<string | null> {
  const result = await execa(program, ["-w", LOCK_WAIT_SECONDS, ...command], {
    timeout: CALL_TIMEOUT_MS,
    reject: false,
    stdin: "ignore",
  });
  return result.exitCode === 0 ? result.stdout : null;
}
