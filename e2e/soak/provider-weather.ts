import type { ListVerdict, MachineProvider, Verdict } from "../src/machines/machine-provider.ts";
import type { Boot } from "../src/machines/machine.ts";
import { seededRandom } from "./random.ts";

/** Longer than the time limit of the provider's command: whoever asked has given up. */
const SILENCE_MS = 12_000;
const MAX_SLOW_MS = 2_000;
/** Of the machines that a list which is not whole leaves out. */
const HIDDEN_SHARE = 0.3;

/** What goes wrong, each with its share in parts of one; all else goes well. */
type Odds<T> = readonly (readonly [share: number, what: T])[];

const CREATIONS: Odds<Verdict> = [
  [0.03, { exit: "throttled" }],
  [0.02, { exit: "no_capacity" }],
  [0.03, { exit: "unavailable" }],
  // An error of the server after it has made the machine.
  [0.03, { exit: "unavailable", isDone: true }],
  // No answer: the machine is there before the asker gives up, or after.
  [0.02, { exit: "ok", afterMs: SILENCE_MS }],
  [0.02, { exit: "ok", beforeMs: SILENCE_MS }],
];
const LISTS: Odds<"throttled" | "unavailable" | "silent" | "empty" | "part"> = [
  [0.04, "throttled"],
  [0.04, "unavailable"],
  [0.02, "silent"],
  [0.05, "empty"],
  [0.1, "part"],
];
const DELETIONS: Odds<Verdict> = [
  [0.05, { exit: "throttled" }],
  [0.05, { exit: "unavailable" }],
  [0.05, { exit: "unavailable", isDone: true }],
  [0.02, { exit: "ok", afterMs: SILENCE_MS }],
];
const BOOTS: Odds<Boot> = [[0.03, "dies"]];
/** Noticed at the boot deadline only. */
const SLOW_BOOTS: Odds<Boot> = [[0.02, "hangs"]];
/** Of the answers that are right, and come late. */
const SLOW_SHARE = 0.1;

/** Makes a provider misbehave at random until it is cleared. */
export class ProviderWeather {
  /** How often what went wrong. */
  readonly counts = { creations: 0, lists: 0, deletions: 0, boots: 0 };
  readonly #provider: MachineProvider;
  readonly #random: () => number;

  constructor(provider: MachineProvider, { seed, hasSlowFaults }: { seed: number; hasSlowFaults: boolean }) {
    const boots = hasSlowFaults ? [...BOOTS, ...SLOW_BOOTS] : BOOTS;
    this.#provider = provider;
    this.#random = seededRandom(seed);
    provider.onCreate = () => this.#verdict("creations", CREATIONS);
    provider.onDelete = () => this.#verdict("deletions", DELETIONS);
    provider.onList = () => this.#list();
    provider.bootAs = () => this.#draw("boots", boots) ?? "runner";
  }

  /** From here on all goes well. */
  clear(): void {
    this.#provider.onCreate = () => ({ exit: "ok" });
    this.#provider.onDelete = () => ({ exit: "ok" });
    this.#provider.onList = () => ({ exit: "ok" });
    this.#provider.bootAs = () => "runner";
  }

  #verdict(kind: "creations" | "deletions", odds: Odds<Verdict>): Verdict {
    return this.#draw(kind, odds) ?? this.#well();
  }

  #list(): ListVerdict {
    switch (this.#draw("lists", LISTS)) {
      case "throttled":
        return { exit: "throttled" };
      case "unavailable":
        return { exit: "unavailable" };
      case "silent":
        return { exit: "ok", afterMs: SILENCE_MS };
      case "empty":
        return { exit: "ok", hides: () => true };
      case "part":
        return { exit: "ok", hides: () => this.#random() < HIDDEN_SHARE };
      case null:
        return this.#well();
    }
  }

  #well(): Verdict {
    return this.#random() < SLOW_SHARE ? { exit: "ok", beforeMs: this.#random() * MAX_SLOW_MS } : { exit: "ok" };
  }

  #draw<T>(kind: keyof ProviderWeather["counts"], odds: Odds<T>): T | null {
    let left = this.#random();
    for (const [share, what] of odds) {
      left -= share;
      if (left >= 0) continue;
      this.counts[kind] += 1;
      return what;
    }
    return null;
  }
}
