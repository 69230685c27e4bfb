import { isLabel, LABEL_PATTERN, MAX_LABELS } from "@shipfox/shared/labels";
import { parseDuration } from "@shipfox/shared/durations";
import { isTimezone } from "@shipfox/shared/timezone";
import { Cron } from "croner";
import { z } from "zod";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const MAX_COUNT = 100_000;
const MAX_SCHEDULES = 50;
const MAX_KEY_CHARS = 255;
const MAX_COST = 1_000_000;

/** `text` with `min` and `max` in milliseconds, given as a duration such as `10m`. */
function duration(min: string, max: string) {
  const [least, most] = [parseDuration(min) ?? 0, parseDuration(max) ?? 0];
  return z
    .string({ error: "expected a duration such as 90s, 10m or 2h" })
    .transform((text) => parseDuration(text) ?? Number.NaN)
    .refine(
      (value) => value >= least && value <= most,
      `expected a duration between ${min} and ${max}, such as 90s, 10m or 2h`,
    );
}

const count = z.int().min(0).max(MAX_COUNT);

function isCron(text: string): boolean {
  try {
    return new Cron(text, { mode: "5-part", timezone: "UTC", paused: true }).nextRun() !== null;
  } catch {
    return false;
  }
}

const scheduleSchema = z
  .strictObject({
    cron: z.string().refine(isCron, 'expected five cron fields that fit some date, such as "0 8 * * mon-fri"'),
    timezone: z.string().refine(isTimezone, "expected a time zone such as Europe/Berlin"),
    duration: duration("1m", "7d"),
    idle: count.optional(),
    max_concurrency: count.optional(),
  })
  .refine(
    ({ idle, max_concurrency: most }) => idle !== undefined || most !== undefined,
    "expected idle, max_concurrency or both",
  );

const address = z
  .string()
  .refine(
    (text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ""),
    "expected an address that begins with http:// or https://",
  );

export const templateSchema = z.strictObject({
  labels: z
    .array(z.string().refine(isLabel, `expected a label like ${LABEL_PATTERN.source}`))
    .min(1)
    .max(MAX_LABELS)
    .refine((labels) => new Set(labels).size === labels.length, "a label is there twice"),
  sandbox: z.enum(["host", "docker"]).default("host"),
  runner_api_url: address.optional(),
  max_concurrency: z.int().min(1).max(MAX_COUNT),
  max_creations_per_hour: z.int().min(1).max(MAX_COUNT).optional(),
  idle: count.default(0),
  schedules: z.array(scheduleSchema).max(MAX_SCHEDULES).default([]),
  burst: z.int().min(1).max(MAX_COUNT).optional(),
  boot_timeout: duration("10s", "1h").default(10 * MINUTE_MS),
  idle_timeout: duration("10s", "1d").default(5 * MINUTE_MS),
  longest_job: duration("1m", "24h").default(DAY_MS),
  max_lifetime: duration("1m", "20d").optional(),
  cost: z.number().min(0).max(MAX_COST).optional(),
  preference: z.int().min(0).max(MAX_COUNT).default(100),
  fallback: z.string().min(1).max(MAX_KEY_CHARS).optional(),
  machine: z.record(z.string(), z.unknown()).default({}),
});
export type TemplateFields = z.output<typeof templateSchema>;

const fragment = z.record(z.string(), z.unknown());
const binding = z.record(z.string(), z.unknown());
const familySchema = z.strictObject({
  axes: z.record(z.string(), z.unknown()),
  exclude: z.array(binding).optional(),
  include: z.array(binding).optional(),
  let: z.record(z.string(), z.unknown()).optional(),
  key: z.string().optional(),
  template: fragment,
});

export const fileSchema = z.strictObject({
  pool: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, "expected 1 to 63 small letters, digits and dashes")
    .default("default"),
  provider: z.looseObject({ kind: z.string() }),
  runner_api_url: address.optional(),
  limits: z
    .strictObject({
      max_instances: z.int().min(1).max(MAX_COUNT).default(100),
      max_creations_per_hour: z.int().min(1).max(MAX_COUNT).default(1_000),
      max_deletions_per_minute: z.int().min(1).max(MAX_COUNT).default(60),
    })
    .prefault({}),
  vars: z.record(z.string(), z.unknown()).default({}),
  defaults: fragment.default({}),
  matrix: z.record(z.string(), familySchema).default({}),
  templates: z.record(z.string(), fragment).default({}),
});

/** From the order to the end of the machine, beside its job: it boots, waits for its job, and cleans up. */
export const LIFE_MARGIN_MS = 10 * MINUTE_MS;
export const MIN_BURST = 10;
export const KEY_PATTERN = /^[\x21-\x7e]{1,255}$/;
