import { runnerIsRoot } from "../job-user.ts";
import { METADATA_NETWORKS } from "../network/barriers.ts";
import { Firewall } from "../network/firewall.ts";
import { SandboxError } from "../sandbox-error.ts";
import type { HostSettings } from "./host-options.ts";

/** A firewall that somebody reloads has lost our rules. */
const LOOK_AGAIN_MS = 30_000;

/**
 * Keeps the steps' user from cloud metadata and from what the operator lists, by the machine's own firewall: with the host sandbox
 * steps have its network. It tells users apart, so it takes a runner that is root.
 */
export class UserFirewall {
  readonly #settings: HostSettings;
  #firewall: Firewall | null = null;
  #assertedAt = 0;
  /** One for all jobs that start together. */
  #renewal: Promise<void> = Promise.resolve();

  constructor(settings: HostSettings) {
    this.#settings = settings;
  }

  /** Resolves to what steps can reach against the settings, a sentence for the operator; null when all is well. */
  async prepare(): Promise<string | null> {
    const { firewall, runnerId, user, logger } = this.#settings;
    const rules = new Firewall(runnerId, { uid: user.uid }, logger);
    const cause = firewall === "off" ? "SHIPFOX_RUNNER_FIREWALL is off" : await whyNoFirewall(rules, this.#barriers());
    if (cause === null) {
      this.#firewall = rules;
      this.#assertedAt = performance.now();
      return null;
    }
    return `Steps can reach cloud metadata addresses such as 169.254.169.254, and what SHIPFOX_RUNNER_DENY_ADDRESSES lists: ${cause}.`;
  }

  /** Before each job. */
  async renew(): Promise<void> {
    if (this.#firewall !== null && performance.now() - this.#assertedAt >= LOOK_AGAIN_MS) {
      this.#assertedAt = performance.now();
      this.#renewal = this.#firewall.assert(this.#barriers());
      // Who starts after a failure tries again.
      this.#renewal.catch(() => (this.#assertedAt = 0));
    }
    await this.#renewal;
  }

  async close(): Promise<void> {
    await this.#firewall?.close();
    this.#firewall = null;
  }

  #barriers() {
    const { deniedNetworks, allowedNetworks } = this.#settings;
    return { denied: [...METADATA_NETWORKS, ...deniedNetworks], allowed: allowedNetworks };
  }
}

/** Null when its rules hold now. */
async function whyNoFirewall(firewall: Firewall, barriers: Parameters<Firewall["assert"]>[0]): Promise<string | null> {
  if (!runnerIsRoot()) return "the runner is not root";
  if (!(await Firewall.isUsable())) return "iptables is missing or may not be used";
  try {
    await firewall.sweep();
    await firewall.assert(barriers);
    return null;
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    return error.message.replace(/\.$/, "");
  }
}
