import type { ServiceConfig } from "@shipfox/shared/machine";
import type { EngineHealthcheck } from "./images.ts";

export interface HealthPlan {
  /** A program and its arguments. */
  readonly command: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** Failures in this time after the start do not count. */
  readonly startPeriodMs: number;
  /** Failures in a row that make the service unhealthy. */
  readonly retries: number;
}

const WORKFLOW_DEFAULTS = { intervalMs: 1_000, timeoutMs: 5_000, startPeriodMs: 0, retries: 30 };
/** Those of the engine, for what an image leaves open. */
const IMAGE_DEFAULTS = { intervalMs: 30_000, timeoutMs: 30_000, retries: 3 };
const NANOSECONDS_PER_MS = 1e6;
/** An image's interval is meant for a container that runs; here somebody waits. The patience stays the image's. */
const MAX_IMAGE_INTERVAL_MS = 1_000;

/** The check of the workflow, else of the image; null when there is none. */
export function planHealth(health: ServiceConfig["health"], ofImage: EngineHealthcheck | null): HealthPlan | null {
  if (health !== undefined) {
    return {
      command: typeof health.cmd === "string" ? ["/bin/sh", "-c", health.cmd] : health.cmd,
      intervalMs: health.interval_ms ?? WORKFLOW_DEFAULTS.intervalMs,
      timeoutMs: health.timeout_ms ?? WORKFLOW_DEFAULTS.timeoutMs,
      startPeriodMs: health.start_period_ms ?? WORKFLOW_DEFAULTS.startPeriodMs,
      retries: health.retries ?? WORKFLOW_DEFAULTS.retries,
    };
  }
  const [kind, ...words] = ofImage?.Test ?? [];
  if ((kind !== "CMD" && kind !== "CMD-SHELL") || words.length === 0) return null;
  const ofTheirs = milliseconds(ofImage?.Interval) || IMAGE_DEFAULTS.intervalMs;
  const intervalMs = Math.min(ofTheirs, MAX_IMAGE_INTERVAL_MS);
  return {
    command: kind === "CMD" ? words : ["/bin/sh", "-c", ...words],
    intervalMs,
    timeoutMs: milliseconds(ofImage?.Timeout) || IMAGE_DEFAULTS.timeoutMs,
    startPeriodMs: milliseconds(ofImage?.StartPeriod),
    retries: Math.ceil(((ofImage?.Retries || IMAGE_DEFAULTS.retries) * ofTheirs) / intervalMs),
  };
}

function milliseconds(nanoseconds: number | undefined): number {
  return Math.ceil((nanoseconds ?? 0) / NANOSECONDS_PER_MS);
}
