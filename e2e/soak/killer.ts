import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "./random.ts";

/** From one kill to the next, once everything is up again. */
const PAUSE_MS = { least: 500, most: 4_000 };
/** Now and then longer than a lease at the times of the soak. */
const DOWN_MS = { least: 0, most: 3_000 };

export interface Victim {
  kill9(): Promise<unknown>;
  /** Missing of what nobody starts again. */
  restart?(): Promise<void> | void;
}

/** One of a list at random, or none of an empty one. */
export type Pick = <T>(all: readonly T[]) => readonly T[];

/** One way to strike. */
export interface Strike<Kind extends string> {
  /** As in "control plane killed". */
  readonly kind: Kind;
  /** In parts of one; those of all strikes add up to one. */
  readonly share: number;
  /** Who is hit this time; nobody when there is nobody to hit. */
  readonly victims: (pick: Pick) => readonly Victim[];
}

export interface KillerOptions<Kind extends string> {
  readonly strikes: readonly Strike<Kind>[];
  /** Those that come first, so that a short soak has them. */
  readonly openings: readonly Kind[];
  /** Asked before each strike, with the number of those before; while it says no, the killer waits. */
  readonly mayStrike?: (strikes: number) => boolean;
}

/** By kind. */
export type Kills<Kind extends string = string> = Readonly<Record<Kind, number>>;

export function describeKills(kills: Kills): string {
  return Object.entries(kills)
    .map(([kind, count]) => `${kind} ${count}`)
    .join(", ");
}

/** Kills with -9 and starts again what was killed, one strike after another, until it is stopped. */
export class Killer<Kind extends string> {
  readonly kills: Record<Kind, number>;
  readonly #strikes: readonly Strike<Kind>[];
  readonly #openings: Kind[];
  readonly #mayStrike: (strikes: number) => boolean;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  readonly #broken = new AbortController();
  readonly #over: Promise<void>;

  constructor(seed: number, { strikes, openings, mayStrike = () => true }: KillerOptions<Kind>) {
    this.#random = seededRandom(seed);
    this.#strikes = strikes;
    this.#openings = [...openings];
    this.#mayStrike = mayStrike;
    this.kills = Object.fromEntries(strikes.map(({ kind }) => [kind, 0])) as Record<Kind, number>;
    this.#over = this.#work();
    this.#over.catch((error: unknown) => this.#broken.abort(error));
  }

  /** Aborted when something that was killed did not come up again. */
  get broken(): AbortSignal {
    return this.#broken.signal;
  }

  /** Resolves when the last thing killed is up again; rejects when something did not come up. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#over;
  }

  async #work(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await sleep(this.#between(PAUSE_MS), undefined, { signal: this.#stop.signal }).catch(() => undefined);
      if (!this.#stop.signal.aborted && this.#mayStrike(this.#strikesSoFar())) await this.#strike();
    }
  }

  #strikesSoFar(): number {
    return Object.values<number>(this.kills).reduce((sum, count) => sum + count, 0);
  }

  async #strike(): Promise<void> {
    const { kind, victims: choose } = this.#choice();
    const victims = choose(this.#pick);
    const downMs = this.#between(DOWN_MS);
    if (victims.length === 0) return;
    if (this.#openings[0] === kind) this.#openings.shift();
    this.kills[kind] += 1;
    await this.#killAndRevive(victims, downMs);
  }

  readonly #pick: Pick = (all) => {
    const index = Math.floor(this.#random() * all.length);
    return all.slice(index, index + 1);
  };

  #choice(): Strike<Kind> {
    const opening = this.#strikes.find(({ kind }) => kind === this.#openings[0]);
    if (opening) return opening;
    let left = this.#random();
    const chosen = this.#strikes.find(({ share }) => {
      left -= share;
      return left < 0;
    });
    return chosen ?? (this.#strikes[0] as Strike<Kind>);
  }

  /** All at once; up again one after another, since a runner is ready only when the control plane is. */
  async #killAndRevive(victims: readonly Victim[], downMs: number): Promise<void> {
    await Promise.all(victims.map((victim) => victim.kill9()));
    if (victims.every((victim) => victim.restart === undefined)) return;
    await sleep(downMs);
    for (const victim of victims) await victim.restart?.();
  }

  #between({ least, most }: { least: number; most: number }): number {
    return least + this.#random() * (most - least);
  }
}
