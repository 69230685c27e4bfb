import { setTimeout as sleep } from "node:timers/promises";
import type { ControlPlane } from "../src/control-plane.ts";
import type { Runner } from "../src/runner.ts";
import { seededRandom } from "./random.ts";

/** From one kill to the next, once everything is up again. */
const PAUSE_MS = { least: 500, most: 4_000 };
/** Now and then longer than a lease at the times of the soak. */
const DOWN_MS = { least: 0, most: 3_000 };

/** In parts of one; the rest is one runner alone. */
const SHARES = { controlPlane: 0.25, everything: 0.05 };

export interface Kills {
  runner: number;
  controlPlane: number;
  everything: number;
}

/** Kills runners and the control plane with -9 and starts them again, one thing after another, until it is stopped. */
export class Killer {
  readonly kills: Kills = { runner: 0, controlPlane: 0, everything: 0 };
  readonly #plane: ControlPlane;
  readonly #runners: readonly Runner[];
  readonly #random: () => number;
  readonly #stop = new AbortController();
  readonly #over: Promise<void>;

  constructor(seed: number, plane: ControlPlane, runners: readonly Runner[]) {
    this.#random = seededRandom(seed);
    this.#plane = plane;
    this.#runners = runners;
    this.#over = this.#work();
    // Told by `stop`; a soak that ends for another reason first must not end as an unhandled rejection.
    this.#over.catch(() => undefined);
  }

  /** Resolves when the last thing killed is up again; rejects when something did not come up. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#over;
  }

  async #work(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await sleep(this.#between(PAUSE_MS), undefined, { signal: this.#stop.signal }).catch(() => undefined);
      if (!this.#stop.signal.aborted) await this.#strike();
    }
  }

  async #strike(): Promise<void> {
    const choice = this.#choice();
    const runner = this.#runners[Math.floor(this.#random() * this.#runners.length)] as Runner;
    const downMs = this.#between(DOWN_MS);
    const victims = { runner: [runner], controlPlane: [this.#plane], everything: [this.#plane, ...this.#runners] };
    this.kills[choice] += 1;
    await this.#killAndRevive(victims[choice], downMs);
  }

  #choice(): keyof Kills {
    // So that a short soak has both kinds.
    if (this.kills.runner === 0) return "runner";
    if (this.kills.controlPlane === 0) return "controlPlane";
    const choice = this.#random();
    if (choice < SHARES.everything) return "everything";
    return choice < SHARES.everything + SHARES.controlPlane ? "controlPlane" : "runner";
  }

  /** All at once; up again one after another, since a runner is ready only when the control plane is. */
  async #killAndRevive(victims: readonly (ControlPlane | Runner)[], downMs: number): Promise<void> {
    await Promise.all(victims.map((victim) => victim.kill9()));
    await sleep(downMs);
    for (const victim of victims) await victim.restart();
  }

  #between({ least, most }: { least: number; most: number }): number {
    return least + this.#random() * (most - least);
  }
}
