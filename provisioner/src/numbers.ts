import { Cron } from "croner";
import type { Schedule, Template } from "./templates/template.ts";

export interface Numbers {
  readonly idle: number;
  readonly maxConcurrency: number;
  /** Whose they are; null when they are the template's own. */
  readonly schedule: Schedule | null;
}

/** The numbers of a template that hold now: its own, or those of the last schedule whose window is open. */
export function numbersAt(template: Template, now: number): Numbers {
  const schedule = template.schedules.findLast((one) => isOpen(one, now)) ?? null;
  const maxConcurrency = schedule?.maxConcurrency ?? template.maxConcurrency;
  return { idle: Math.min(maxConcurrency, schedule?.idle ?? template.idle), maxConcurrency, schedule };
}

/** When a window of the template opens next, in milliseconds; null when it has none. */
export function nextOpening(template: Template, now: number): number | null {
  const times = template.schedules.flatMap((schedule) => cronOf(schedule).nextRun(new Date(now))?.getTime() ?? []);
  return times.length === 0 ? null : Math.min(...times);
}

/** By the schedule itself: a reload brings new ones. */
const parsed = new WeakMap<Schedule, Cron>();

function cronOf(schedule: Schedule): Cron {
  const { cron, timezone } = schedule;
  const opens = parsed.get(schedule) ?? new Cron(cron, { mode: "5-part", timezone, paused: true });
  parsed.set(schedule, opens);
  return opens;
}

function isOpen(schedule: Schedule, now: number): boolean {
  const opened = cronOf(schedule).nextRun(new Date(now - schedule.durationMs));
  return opened !== null && opened.getTime() <= now;
}
