import { createHash } from "node:crypto";
import { Cron } from "croner";

interface Field {
  name: string;
  /** `H` chooses from these: none that some months do not have. */
  first: number;
  last: number;
  /** The largest value of all, where that is another. */
  longest?: number;
}

const FIELDS: readonly Field[] = [
  { name: "minute", first: 0, last: 59 },
  { name: "hour", first: 0, last: 23 },
  { name: "day of the month", first: 1, last: 28, longest: 31 },
  { name: "month", first: 1, last: 12 },
  { name: "day of the week", first: 0, last: 6, longest: 7 },
];
const HASHED = /^H(?:\/(\d{1,4}))?$/;
/** `5/10`: every tenth from the fifth on. */
const STEPS_FROM = /^(\d{1,2}|[A-Z]{3})\/(\d{1,4})$/i;
/** Every possible date comes within 8 years of this one: 29 February is the rarest. */
const ANY_MOMENT = Date.UTC(2024, 0, 1);

/** A schedule of five fields, its time zone, and what `H` is chosen by: the same text chooses the same. */
export interface Schedule {
  readonly schedule: string;
  readonly timezone: string;
  readonly seed: string;
}

/** What is wrong with a schedule of five fields; null when it fires at some time. */
export function cronFault(schedule: string): string | null {
  const fields = fieldsOf(schedule);
  if (fields.length !== FIELDS.length || schedule.trim().startsWith("@")) {
    const names = FIELDS.map(({ name }) => name).join(", ");
    return `a schedule has five fields (${names}), such as \`30 2 * * 1-5\``;
  }
  try {
    const next = nextFire({ schedule, timezone: "UTC", seed: "" }, ANY_MOMENT);
    return next === null ? "no date ever fits it" : null;
  } catch (error) {
    return (error as Error).message.replace(/^CronPattern: /, "");
  }
}

/**
 * The first time after `after` at which the schedule fires, both in milliseconds; null when it never does again. Throws for
 * a text that is no schedule.
 *
 * Minutes and hours without `*` and steps are fixed times of day: one that a change of the clock skips comes at the moment of
 * the change, one that it repeats comes the first time only. All others come whenever the clock shows them.
 */
export function nextFire({ schedule, timezone, seed }: Schedule, after: number): number | null {
  const pattern = withChosenValues(schedule, seed);
  const cron = new Cron(pattern, { mode: "5-part", timezone, fixedTimeRule: "no-wildcard", paused: true });
  return cron.nextRun(new Date(after))?.getTime() ?? null;
}

function fieldsOf(schedule: string): string[] {
  return schedule.trim().split(/\s+/);
}

/** `H` becomes one value of its field, `H/15` every fifteenth from one of the first fifteen; `5/10` becomes a range with steps. */
function withChosenValues(schedule: string, seed: string): string {
  const fields = fieldsOf(schedule).map((text, index) => {
    const step = HASHED.exec(text);
    const field = FIELDS[index];
    if (!field) return text;
    const { first, last } = field;
    if (!step) return text.replaceAll(/[^,]+/g, (part) => part.replace(STEPS_FROM, `$1-${field.longest ?? last}/$2`));
    const width = step[1] === undefined ? last - first + 1 : Math.min(Number(step[1]), last - first + 1);
    const chosen = first + (hash(`${seed} ${index}`) % Math.max(1, width));
    return step[1] === undefined ? String(chosen) : `${chosen}-${last}/${step[1]}`;
  });
  return fields.join(" ");
}

function hash(text: string): number {
  return createHash("sha256").update(text).digest().readUInt32BE();
}
