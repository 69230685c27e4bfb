import type { DemandReply, JobDemand } from "@shipfox/shared/provisioner";
import { z } from "zod";
import { nextOpening, numbersAt } from "./numbers.ts";
import { byPreference, lacks, poolGap, ranked } from "./policy.ts";
import type { Situation } from "./policy-port.ts";
import { type Bound, existing, NONE, Room } from "./room.ts";
import type { Template } from "./templates/template.ts";

const count = z.int().min(0);
const choiceSchema = z.object({ template_key: z.string(), create: count, why: z.string() });

/** What would be created now, and why or why not, in words. */
export const planSchema = z.object({
  /** Why nothing at all is created now; null when nothing keeps it. */
  held: z.string().nullable(),
  /** Jobs that wait for the same labels and capabilities, in the order in which they are served. */
  groups: z.array(
    z.object({
      labels: z.array(z.string()),
      capabilities: z.array(z.string()),
      queued: count,
      /** Of them those for which a runner is idle, starting or reserved. */
      covered: count,
      /** Of the rest those for which nothing can be created now. */
      left: count,
      why: z.string(),
      /** The templates that can take them, best first. */
      templates: z.array(choiceSchema),
    }),
  ),
  /** Idle pools: those that are kept, or would be at another time. */
  pools: z.array(choiceSchema.extend({ idle: count, ready: count })),
});
export type Plan = z.infer<typeof planSchema>;
type Group = Plan["groups"][number];

/** Pure: what the policy makes of the jobs that wait, with its reasons. */
export function planOf(
  situation: Situation,
  demand: Pick<DemandReply, "stats" | "unmatched">,
  held: string | null,
): Plan {
  const room = new Room(situation);
  const groups = demand.stats.map((one) => planGroup(situation, room, one));
  const lost = demand.unmatched.map((one): Group => {
    const rest = Math.max(0, one.queued - one.covered);
    return {
      ...one,
      left: rest,
      why: rest === 0 ? sayCovered(one) : nearestOf(situation.file.templates, one),
      templates: [],
    };
  });
  return { held, groups: [...groups, ...lost], pools: planPools(situation, room) };
}

function planGroup(situation: Situation, room: Room, one: JobDemand): Group {
  const able = ranked(situation.file.templates, one);
  const wanted = Math.max(0, one.queued - one.covered);
  const chosen = room.takeFor(able, wanted);
  const left = wanted - chosen.length;
  const templates = able.map((template, index) => {
    const create = chosen.filter((other) => other === template).length;
    const blockers = room.blockers(template);
    const full = blockers.map((bound) => sayBound(bound, template, situation)).join("; ");
    const before = able[index - 1];
    const order = before === undefined ? sayFirst(able.length) : sayAfter(before, template);
    const isShort = create < Math.max(1, wanted);
    return { template_key: template.key, create, why: isShort && full !== "" ? full : order };
  });
  return { ...one, left, why: sayGroup(one, chosen.length, left), templates };
}

function sayGroup(one: JobDemand, created: number, left: number): string {
  const parts = [
    ...(one.covered > 0 ? [sayCovered(one)] : []),
    ...(created > 0 ? [`${created} would be created`] : []),
    ...(left > 0 ? [`${left} must wait: no template has room`] : []),
  ];
  return parts.join("; ");
}

function sayCovered({ queued, covered }: JobDemand): string {
  return `a runner that is idle, starting or reserved takes ${covered >= queued ? "them" : `${covered} of them`}`;
}

function sayFirst(able: number): string {
  return able === 1 ? "the only template that fits" : `comes first of ${able} that fit`;
}

/** Why `template` comes after `before`. */
function sayAfter(before: Template, template: Template): string {
  if (before.fallback === template.key) return `the fallback of ${before.key}`;
  if (byPreference(before, template) > 0) return `comes after the fallback ${before.key}`;
  if (before.preference !== template.preference)
    return `${before.key} is preferred: preference ${before.preference} before ${template.preference}`;
  if (before.costPerHour !== template.costPerHour)
    return `${before.key} is cheaper: ${sayCost(before)}, this one ${sayCost(template)}`;
  if (before.labels.length !== template.labels.length) return `${before.key} has fewer labels that nobody asked for`;
  return `${before.key} comes first by its name`;
}

function sayCost({ costPerHour }: Template): string {
  return costPerHour === null ? "no cost given" : `cost ${costPerHour}`;
}

function sayBound(bound: Bound, template: Template, { file, counts, allowances, now }: Situation): string {
  const { fault } = allowances.get(template.key) ?? {};
  const own = counts.get(template.key) ?? NONE;
  const numbers = numbersAt(template, now);
  switch (bound) {
    case "fault": {
      const what = fault?.kind === "provider_error" ? "the provider does not answer" : "its circuit is open";
      const until = fault?.next_try_at === undefined ? "" : ` until ${fault.next_try_at}`;
      return `${what}${until}: ${fault?.message ?? ""}`;
    }
    case "trial":
      return "one machine tries first whether it works again";
    case "max_concurrency": {
      const whose = numbers.schedule === null ? "" : ` of its schedule "${numbers.schedule.cron}"`;
      return `max_concurrency ${numbers.maxConcurrency}${whose} is reached${sayThere(existing(own))}`;
    }
    case "burst":
      return `burst ${template.burst} is reached${own.starting > 0 ? `: ${own.starting} are on their way` : ""}`;
    case "max_creations_per_hour":
      return `max_creations_per_hour ${template.maxCreationsPerHour} is reached`;
    case "limits.max_instances":
      return `limits.max_instances ${file.limits.maxInstances} is reached`;
    case "limits.max_creations_per_hour":
      return `limits.max_creations_per_hour ${file.limits.maxCreationsPerHour} is reached`;
  }
}

function sayThere(machines: number): string {
  return machines === 0 ? "" : `: ${machines} ${machines === 1 ? "is" : "are"} there`;
}

/** What the template that lacks least lacks. */
function nearestOf(templates: readonly Template[], one: JobDemand): string {
  const wants = templates.map((template) => ({ key: template.key, missing: lacks(template, one) }));
  const [nearest] = wants.sort((left, right) => left.missing.length - right.missing.length);
  if (nearest === undefined) return "there is no template";
  return `no template fits; the nearest one, ${nearest.key}, lacks ${nearest.missing.join(", ")}`;
}

function planPools(situation: Situation, room: Room): Plan["pools"] {
  const { file, counts, now } = situation;
  return file.templates.flatMap((template) => {
    const numbers = numbersAt(template, now);
    const mayKeep = template.idle > 0 || template.schedules.some(({ idle }) => (idle ?? 0) > 0);
    if (!mayKeep) return [];
    const { starting, idle } = counts.get(template.key) ?? NONE;
    const gap = poolGap(situation, template);
    const create = room.takeFor([template], gap).length;
    const blockers = room.blockers(template).map((bound) => sayBound(bound, template, situation));
    const why = create < gap ? blockers.join("; ") : sayPool(template, numbers, now);
    return { template_key: template.key, idle: numbers.idle, ready: starting + idle.length, create, why };
  });
}

function sayPool(template: Template, { idle, schedule }: ReturnType<typeof numbersAt>, now: number): string {
  if (schedule !== null) return `its schedule "${schedule.cron}" is open`;
  const next = nextOpening(template, now);
  if (idle > 0 || next === null) return "its idle pool";
  return `outside its schedules; the next one opens at ${new Date(next).toISOString()}`;
}
