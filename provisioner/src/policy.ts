import type { AdvertisedTemplate, DemandReply } from "@shipfox/shared/provisioner";
import { numbersAt } from "./numbers.ts";
import type { Creation, Policy, Situation } from "./policy-port.ts";
import { NONE, Room } from "./room.ts";
import type { Template } from "./templates/template.ts";

export type Wanted = Pick<DemandReply["reservations"][number], "labels" | "capabilities">;

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
  for (const reservation of reservations)
    for (const template of room.takeFor(ranked(situation.file.templates, reservation), reservation.count))
      creations.push({ templateKey: template.key, reservationId: reservation.reservation_id });
  for (const template of situation.file.templates)
    for (const { key } of room.takeFor([template], poolGap(situation, template)))
      creations.push({ templateKey: key, reservationId: null });
  return creations;
}

/** Runners that the idle pool of a template lacks. One on its way may be for a job: then the pool is filled when that is claimed. */
export function poolGap({ counts, now }: Situation, template: Template): number {
  const { starting, idle } = counts.get(template.key) ?? NONE;
  return Math.max(0, numbersAt(template, now).idle - starting - idle.length);
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
  const order = templates.filter((template) => lacks(template, wanted).length === 0).sort(byPreference);
  const byKey = new Map(order.map((template) => [template.key, template]));
  const placed = new Set<Template>();
  for (const template of order)
    for (let next: Template | undefined = template; next !== undefined && !placed.has(next); ) {
      placed.add(next);
      next = next.fallback === null ? undefined : byKey.get(next.fallback);
    }
  return [...placed];
}

/** The labels and capabilities that the job needs and the template does not give. */
export function lacks(template: Template, job: Wanted): string[] {
  const has = new Set(template.labels);
  const can = new Set<string>(template.capabilities);
  return [...job.labels.filter((label) => !has.has(label)), ...job.capabilities.filter((one) => !can.has(one))];
}

/** Negative when `left` comes first. */
export function byPreference(left: Template, right: Template): number {
  const cost = (template: Template) => template.costPerHour ?? Number.MAX_VALUE;
  return (
    left.preference - right.preference ||
    cost(left) - cost(right) ||
    left.labels.length - right.labels.length ||
    (left.key < right.key ? -1 : 1)
  );
}

/** How many machines there are, out of numbers alone. */
export const policy: Policy = { advertise, room: (situation) => new Room(situation).all, create, surplus };
