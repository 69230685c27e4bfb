import type { AdvertisedTemplate, DemandReply } from "@shipfox/shared/provisioner";
import { labelsSatisfy } from "@shipfox/shared/labels";
import { Cron } from "croner";
import type { Allowance, Counts, Creation, Policy, Situation } from "./policy-port.ts";
import type { Schedule, Template } from "./templates/template.ts";

const NONE: Counts = { starting: 0, idle: [], busy: 0, leaving: 0 };
const NOTHING: Allowance = { creations: 0, fault: null };

type Wanted = Pick<DemandReply["reservations"][number], "labels" | "capabilities">;

/** The numbers of a template that hold now: its own, or those of the last schedule whose window is open. */
export function numbersAt(template: Template, now: number): { idle: number; maxConcurrency: number } {
  const open = template.schedules.findLast((schedule) => isOpen(schedule, now));
  const maxConcurrency = open?.maxConcurrency ?? template.maxConcurrency;
  return { idle: Math.min(maxConcurrency, open?.idle ?? template.idle), maxConcurrency };
}

/** By the schedule itself: a reload brings new ones. */
const parsed = new WeakMap<Schedule, Cron>();

function isOpen(schedule: Schedule, now: number): boolean {
  const { cron, timezone, durationMs } = schedule;
  const opens = parsed.get(schedule) ?? new Cron(cron, { mode: "5-part", timezone, paused: true });
  parsed.set(schedule, opens);
  const opened = opens.nextRun(new Date(now - durationMs));
  return opened !== null && opened.getTime() <= now;
}

/** Each template's own room: which of them gets what is left to all together is decided by what jobs wait for. */
function advertise(situation: Situation): AdvertisedTemplate[] {
  const room = new Room(situation);
  return situation.file.templates.map((template) => {
    const { starting, idle, busy } = situation.counts.get(template.key) ?? NONE;
    const fault = situation.allowances.get(template.key)?.fault ?? null;
    return {
      template_key: template.key,
      labels: [...template.labels],
      capabilities: [...template.capabilities],
      available_slots: room.of(template),
      starting,
      running: idle.length + busy,
      ...(fault ? { fault } : {}),
    };
  });
}

/** First what jobs wait for, then the idle pools, out of the same room. What finds none waits. */
function create(situation: Situation, reservations: DemandReply["reservations"]): Creation[] {
  const room = new Room(situation);
  const creations: Creation[] = [];
  for (const reservation of reservations) {
    const able = ranked(situation.file.templates, reservation);
    for (let unit = 0; unit < reservation.count; unit += 1) {
      const template = able.find((candidate) => room.take(candidate));
      if (template === undefined) break;
      creations.push({ templateKey: template.key, reservationId: reservation.reservation_id });
    }
  }
  for (const template of situation.file.templates) {
    const goal = numbersAt(template, situation.now).idle;
    const { starting, idle } = situation.counts.get(template.key) ?? NONE;
    // An instance on its way may be for a job: then the pool is filled when that is claimed.
    for (let ready = starting + idle.length; ready < goal && room.take(template); ready += 1)
      creations.push({ templateKey: template.key, reservationId: null });
  }
  return creations;
}

/**
 * Idle runners beyond the pool that nobody has needed for the idle time, and at once those beyond what the template may have at
 * all; the oldest first. The idle time keeps demand that comes and goes from making machines come and go.
 */
function surplus({ file, counts, now }: Situation): string[] {
  return file.templates.flatMap((template) => {
    const { starting, idle, busy } = counts.get(template.key) ?? NONE;
    const goal = numbersAt(template, now);
    const tooMany = Math.max(0, starting + idle.length + busy - goal.maxConcurrency);
    const spare = Math.max(0, idle.length - goal.idle);
    return idle
      .filter(({ idleForMs }, index) => index < tooMany || (index < spare && idleForMs >= template.idleTimeoutMs))
      .map(({ id }) => id);
  });
}

/**
 * The templates that can take a job, best first: lower preference, then less cost, then fewer labels that the job does not ask
 * for, then by key. A fallback follows the template that names it.
 */
export function ranked(templates: readonly Template[], wanted: Wanted): Template[] {
  const order = templates.filter((template) => satisfies(template, wanted)).sort(byPreference);
  const byKey = new Map(order.map((template) => [template.key, template]));
  const placed = new Set<Template>();
  for (const template of order)
    for (let next: Template | undefined = template; next !== undefined && !placed.has(next); ) {
      placed.add(next);
      next = next.fallback === null ? undefined : byKey.get(next.fallback);
    }
  return [...placed];
}

function satisfies(template: Template, job: Wanted): boolean {
  const has = new Set<string>(template.capabilities);
  return labelsSatisfy(new Set(template.labels), job.labels) && job.capabilities.every((one) => has.has(one));
}

function byPreference(left: Template, right: Template): number {
  const cost = (template: Template) => template.costPerHour ?? Number.MAX_VALUE;
  return (
    left.preference - right.preference ||
    cost(left) - cost(right) ||
    left.labels.length - right.labels.length ||
    (left.key < right.key ? -1 : 1)
  );
}

/** How many machines can still be made, counted down while it is decided. */
class Room {
  readonly #situation: Situation;
  readonly #taken = new Map<string, number>();
  #all: number;

  constructor(situation: Situation) {
    this.#situation = situation;
    const total = [...situation.counts.values()].reduce((sum, one) => sum + existing(one), 0);
    this.#all = Math.max(0, Math.min(situation.file.limits.maxInstances - total, situation.creationsLeft));
  }

  take(template: Template): boolean {
    if (this.of(template) === 0) return false;
    this.#taken.set(template.key, (this.#taken.get(template.key) ?? 0) + 1);
    this.#all -= 1;
    return true;
  }

  /** Of all templates together. */
  get all(): number {
    return this.#all;
  }

  of(template: Template): number {
    const { counts, allowances, now } = this.#situation;
    const own = counts.get(template.key) ?? NONE;
    const { creations } = allowances.get(template.key) ?? NOTHING;
    const { maxConcurrency } = numbersAt(template, now);
    const bound = Math.min(maxConcurrency - existing(own), creations, template.burst - own.starting);
    return Math.max(0, Math.min(this.#all, bound - (this.#taken.get(template.key) ?? 0)));
  }
}

function existing({ starting, idle, busy, leaving }: Counts): number {
  return starting + idle.length + busy + leaving;
}

/** How many machines there are, out of numbers alone. */
export const policy: Policy = { advertise, room: (situation) => new Room(situation).all, create, surplus };
