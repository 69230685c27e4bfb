import type { AdvertisedTemplate, DemandReply } from "@shipfox/shared/provisioner";
import { labelsSatisfy } from "@shipfox/shared/labels";
import { Cron } from "croner";
import type { Counts, Creation, Policy, Situation } from "./policy-port.ts";
import type { Schedule, Template } from "./templates/template.ts";

const NONE: Counts = { starting: 0, idle: [], busy: 0, leaving: 0 };

/** The numbers of a template that hold now: its own, or those of the last schedule whose window is open. */
export function numbersAt(template: Template, now: number): { idle: number; maxConcurrency: number } {
  const open = template.schedules.findLast((schedule) => isOpen(schedule, now));
  return {
    idle: open?.idle ?? template.idle,
    maxConcurrency: open?.maxConcurrency ?? template.maxConcurrency,
  };
}

function isOpen({ cron, timezone, durationMs }: Schedule, now: number): boolean {
  const opened = new Cron(cron, { timezone }).nextRun(new Date(now - durationMs));
  return opened !== null && opened.getTime() <= now;
}

function existing({ starting, idle, busy, leaving }: Counts): number {
  return starting + idle.length + busy + leaving;
}

/** How many each template may make now, in the order of preference, within the bounds of all together. */
function rooms(situation: Situation): { template: Template; room: number; counts: Counts }[] {
  const { file, counts, allowances, creationsLeft, now } = situation;
  const total = [...counts.values()].reduce((sum, one) => sum + existing(one), 0);
  const all = Math.max(0, Math.min(file.limits.maxInstances - total, creationsLeft));
  return [...file.templates].sort(byPreference).map((template) => {
    const own = counts.get(template.key) ?? NONE;
    const { maxConcurrency } = numbersAt(template, now);
    const creations = allowances.get(template.key)?.creations ?? 0;
    const room = Math.max(0, Math.min(all, maxConcurrency - existing(own), creations, template.burst - own.starting));
    return { template, room, counts: own };
  });
}

/** Lower preference first, then what costs less, then by key. */
function byPreference(left: Template, right: Template): number {
  const cost = (template: Template) => template.costPerHour ?? Number.POSITIVE_INFINITY;
  return (
    left.preference - right.preference ||
    (cost(left) === cost(right) ? 0 : cost(left) - cost(right)) ||
    (left.key < right.key ? -1 : 1)
  );
}

function advertise(situation: Situation): AdvertisedTemplate[] {
  let left = Number.POSITIVE_INFINITY;
  return rooms(situation).map(({ template, room, counts }) => {
    const fault = situation.allowances.get(template.key)?.fault ?? null;
    const slots = Math.min(room, left);
    left -= slots;
    return {
      template_key: template.key,
      labels: [...template.labels],
      capabilities: [...template.capabilities],
      available_slots: slots,
      starting: counts.starting,
      running: counts.idle.length + counts.busy,
      ...(fault ? { fault } : {}),
    };
  });
}

function satisfies(template: Template, job: { labels: readonly string[]; capabilities: readonly string[] }): boolean {
  const has = new Set<string>(template.capabilities);
  return labelsSatisfy(new Set(template.labels), job.labels) && job.capabilities.every((one) => has.has(one));
}

/** First what jobs wait for, then the idle pools, out of the same room. */
function create(situation: Situation, reservations: DemandReply["reservations"]): Creation[] {
  const open = rooms(situation);
  const total = [...situation.counts.values()].reduce((sum, one) => sum + existing(one), 0);
  let all = Math.max(0, Math.min(situation.file.limits.maxInstances - total, situation.creationsLeft));
  const creations: Creation[] = [];
  const take = (slot: { template: Template; room: number }, reservationId: string | null) => {
    slot.room -= 1;
    all -= 1;
    creations.push({ templateKey: slot.template.key, reservationId });
  };
  for (const { reservation_id: id, count, ...job } of reservations) {
    let left = count;
    for (const slot of open.filter(({ template }) => satisfies(template, job)))
      for (; left > 0 && slot.room > 0 && all > 0; left -= 1) take(slot, id);
  }
  for (const slot of open) {
    const { idle } = numbersAt(slot.template, situation.now);
    // An instance on its way may be for a job: then the pool is filled when that is claimed.
    for (let missing = idle - slot.counts.idle.length - slot.counts.starting; missing > 0; missing -= 1)
      if (slot.room > 0 && all > 0) take(slot, null);
  }
  return creations;
}

/** The youngest beyond what waits for jobs go; those that a job may need at once are spared for their idle time by their runners. */
function surplus({ file, counts, now }: Situation): string[] {
  return file.templates.flatMap((template) => {
    const { maxConcurrency } = numbersAt(template, now);
    const own = counts.get(template.key) ?? NONE;
    const over = existing(own) - own.leaving - maxConcurrency;
    return over > 0 ? own.idle.slice(-over) : [];
  });
}

/** How many machines there are, out of numbers alone. */
export const policy: Policy = { advertise, create, surplus };
