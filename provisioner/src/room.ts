import { numbersAt } from "./numbers.ts";
import type { Allowance, Counts, Situation } from "./policy-port.ts";
import type { Template } from "./templates/template.ts";

export const NONE: Counts = { starting: 0, idle: [], busy: 0, leaving: 0 };
const NOTHING: Allowance = { creations: 0, fault: null, isTrial: false };

/** What bounds the machines of a template, as the templates file calls it; `fault` and `trial` are its circuit. */
export type Bound =
  | "fault"
  | "trial"
  | "max_concurrency"
  | "max_creations_per_hour"
  | "burst"
  | "limits.max_instances"
  | "limits.max_creations_per_hour";

/** How many machines can still be made, counted down while it is decided. */
export class Room {
  readonly #situation: Situation;
  readonly #taken = new Map<string, number>();
  readonly #existing: number;
  #takenOfAll = 0;

  constructor(situation: Situation) {
    this.#situation = situation;
    this.#existing = [...situation.counts.values()].reduce((sum, one) => sum + existing(one), 0);
  }

  /** For each machine, up to `count`, the first of the templates that has room: as many as there is room for. */
  takeFor(templates: readonly Template[], count: number): Template[] {
    const chosen: Template[] = [];
    while (chosen.length < count) {
      const template = templates.find((candidate) => this.of(candidate) > 0);
      if (template === undefined) break;
      this.#taken.set(template.key, (this.#taken.get(template.key) ?? 0) + 1);
      this.#takenOfAll += 1;
      chosen.push(template);
    }
    return chosen;
  }

  /** Of all templates together. */
  get all(): number {
    return Math.max(0, Math.min(...this.#ofAll().map(([, left]) => left)));
  }

  of(template: Template): number {
    return Math.max(0, Math.min(this.all, ...this.#own(template).map(([, left]) => left)));
  }

  /** Why there is no room for a machine of the template; empty while there is some. */
  blockers(template: Template): Bound[] {
    return [...this.#own(template), ...this.#ofAll()].flatMap(([bound, left]) => (left <= 0 ? bound : []));
  }

  #own(template: Template): [Bound, number][] {
    const { counts, allowances, now } = this.#situation;
    const own = counts.get(template.key) ?? NONE;
    const { creations, fault, isTrial } = allowances.get(template.key) ?? NOTHING;
    const taken = this.#taken.get(template.key) ?? 0;
    const budget = fault ? "fault" : isTrial ? "trial" : "max_creations_per_hour";
    return [
      [budget, creations - taken],
      ["max_concurrency", numbersAt(template, now).maxConcurrency - existing(own) - taken],
      ["burst", template.burst - own.starting - taken],
    ];
  }

  #ofAll(): [Bound, number][] {
    const { file, creationsLeft } = this.#situation;
    return [
      ["limits.max_instances", file.limits.maxInstances - this.#existing - this.#takenOfAll],
      ["limits.max_creations_per_hour", creationsLeft - this.#takenOfAll],
    ];
  }
}

/** Machines that there are. */
export function existing({ starting, idle, busy, leaving }: Counts): number {
  return starting + idle.length + busy + leaving;
}
