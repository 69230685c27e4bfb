import { z } from "zod";
import { runStatusSchema } from "./runs.ts";
import { timestamp } from "./values.ts";

const MAX_CONCURRENT_RUNS = 100_000;
const DAY_MS = 24 * 3_600_000;
const MAX_WINDOW_MS = 366 * DAY_MS;
const DEFAULT_WINDOW_MS = 30 * DAY_MS;
const instant = z.iso.datetime({ offset: true }).transform((value) => Date.parse(value));

/** Without `to` until now, without `from` 30 days before. */
export const usageQuerySchema = z
  .object({ from: instant.optional(), to: instant.optional() })
  .refine((query) => query.from === undefined || query.to === undefined || query.from < query.to, {
    path: ["from"],
    message: "must be before to",
  })
  .refine((query) => query.from === undefined || query.to === undefined || query.to - query.from <= MAX_WINDOW_MS, {
    path: ["to"],
    message: "must be at most 366 days after from",
  });

export function usageWindow(query: z.output<typeof usageQuerySchema>, now: number): { from: number; to: number } {
  const to = query.to ?? (query.from === undefined ? now : Math.min(now, query.from + MAX_WINDOW_MS));
  return { from: query.from ?? to - DEFAULT_WINDOW_MS, to };
}

export const limit = z
  .int()
  .min(0)
  .max(MAX_CONCURRENT_RUNS)
  .meta({ description: "Runs that may be going at once; 0 for any number" });

export const usageReplySchema = z
  .object({
    from: timestamp,
    to: timestamp,
    runs: z.object({
      total: z.int().meta({ description: "Runs created in the window" }),
      by_status: z.array(z.object({ status: runStatusSchema, count: z.int() })),
    }),
    job_minutes: z.number().meta({ description: "Time that jobs held a runner within the window, rounded to seconds" }),
    stored_log_bytes: z.int().meta({ description: "Bytes of the logs that are kept now, before compression" }),
    stored_files: z.object({
      artifact_bytes: z
        .int()
        .meta({ description: "Bytes of the artifacts that are kept now, and of those that are uploaded" }),
      cache_bytes: z.int().meta({ description: "Bytes of the caches" }),
    }),
    stored_trigger_events: z.object({
      events: z.int().meta({ description: "Trigger events that are kept now" }),
      bytes: z.int().meta({ description: "Bytes of their payloads" }),
    }),
    concurrent_runs: z.object({
      going: z.int().meta({ description: "Runs that have a place now" }),
      waiting: z.int().meta({ description: "Runs that wait for one" }),
    }),
    limits: z.object({
      max_concurrent_runs: limit,
      max_secrets: z.int().meta({ description: "Secrets and variables together" }),
      log_retention_days: z.int().meta({ description: "0: as long as their runs" }),
      max_artifact_bytes: z.int().meta({ description: "With more, uploads are refused" }),
      max_cache_bytes: z.int().meta({ description: "With more, the least recently used go" }),
      max_trigger_events: z.int().meta({ description: "With more, the oldest go" }),
      max_trigger_event_bytes: z.int().meta({ description: "With more, the oldest go" }),
    }),
  })
  .meta({ id: "Usage" });

export const changeLimitsBodySchema = z.strictObject({
  max_concurrent_runs: limit.nullable().meta({ description: "Null: the server's own limit" }),
});
export const limitsReplySchema = z.object({
  max_concurrent_runs: limit,
  own: z.boolean().meta({ description: "False: it is the server's" }),
});

export type Usage = z.infer<typeof usageReplySchema>;
