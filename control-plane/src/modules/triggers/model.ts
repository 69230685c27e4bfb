import type { TriggerEvent, TriggerEventDetail } from "@shipfox/shared/api/trigger-events";
import type { EndedRun } from "../runs/public.ts";
import { WORKFLOW_SOURCE } from "../workflow/public.ts";

export type Decision = TriggerEventDetail["decisions"][number]["decision"];
type Outcome = TriggerEvent["outcome"];

/**
 * How it went to offer an event to all who want it: all were asked; something changed meanwhile, so ask again; something went
 * wrong that may go well later.
 */
export type Pass = "done" | "again" | "failed";

const FIRST_RETRY_MS = 5_000;
const LAST_RETRY_MS = 10 * 60_000;

/** How many runs in a row the ends of runs may start. */
export const MAX_DEPTH = 5;

/** Of the run that an event starts: one more than that of the run whose end it is. */
export function depthOf(origin: string, data: unknown): number {
  return origin === WORKFLOW_SOURCE ? (data as EndedRun["payload"]).depth + 1 : 0;
}

export function decideOutcome(decisions: readonly Decision[], pass: Pass): Outcome {
  if (pass === "failed") return "failed";
  if (pass === "again") return "received";
  if (decisions.includes("triggered")) return "routed";
  return decisions.length > 0 ? "errored" : "discarded";
}

/** When an event that failed is tried again: the longer it has failed, the later. */
export function retryAt(firstTriedAt: number, now: number): number {
  return now + Math.min(LAST_RETRY_MS, Math.max(FIRST_RETRY_MS, now - firstTriedAt));
}
