import type { templateCapabilitySchema } from "@shipfox/shared/provisioner";
import type { z } from "zod";

/** A templates file after `vars`, `defaults` and `matrix` were applied: what the daemon works with. Times are milliseconds. */
export interface TemplatesFile {
  /** Names this set of machines at the provider; 1 to 63 characters of `[a-z0-9-]`. */
  readonly pool: string;
  readonly provider: { readonly kind: string; readonly settings: unknown };
  readonly limits: PoolLimits;
  /** Sorted by key; 1 to 1,000, keys unique. */
  readonly templates: readonly Template[];
}

/** Bounds over all templates. */
export interface PoolLimits {
  /** Machines that exist or are being made. */
  readonly maxInstances: number;
  readonly maxCreationsPerHour: number;
  /** Deletions of machines that still run; beyond it they wait, and the log says so. */
  readonly maxDeletionsPerMinute: number;
}

export interface Template {
  readonly key: string;
  readonly labels: readonly string[];
  readonly capabilities: readonly z.infer<typeof templateCapabilitySchema>[];
  readonly sandbox: "host" | "docker";
  /** Where its machines reach the control plane. */
  readonly runnerApiUrl: string;
  /** Of the driver's `machineSchema`. */
  readonly machine: unknown;
  readonly maxConcurrency: number;
  readonly maxCreationsPerHour: number;
  /** Runners kept waiting while no schedule says otherwise; a part of `maxConcurrency`. */
  readonly idle: number;
  /** The last one whose window is open counts. */
  readonly schedules: readonly Schedule[];
  /** Most machines that are on their way at once: what a flood of jobs may start. */
  readonly burst: number;
  readonly bootTimeoutMs: number;
  readonly idleTimeoutMs: number;
  /** At least the longest job it may run, its boot and a margin. */
  readonly maxLifetimeMs: number;
  /** Of one machine for an hour, in any one unit; null when not given. */
  readonly costPerHour: number | null;
  /** Lower comes first; equal ones by cost, then by key. */
  readonly preference: number;
  /** The template that takes over while this one has no capacity or loses its machines (spot to on-demand); null for none. */
  readonly fallback: string | null;
}

/** A window of time in which other numbers hold. */
export interface Schedule {
  /** Five cron fields: the minutes in which the window opens. */
  readonly cron: string;
  /** IANA name. */
  readonly timezone: string;
  /** How long it stays open from there. */
  readonly durationMs: number;
  readonly idle: number | null;
  readonly maxConcurrency: number | null;
}
