import type { Capabilities } from "@shipfox/shared/machine";

/** What the runner and its guard say to each other over the channel between them, the only way by which tokens reach the guard. */

export interface GuardStart {
  baseUrl: string;
  certificateAuthority: string | null;
  /** See `Guard.start`. */
  standstillLimitMs: number;
  /** So long after its start the guard kills the runner and all that hangs on it; null for never. */
  lifetimeLimitMs: number | null;
}

export interface LeaseOrder {
  jobId: string;
  token: string;
  termMs: number;
  heartbeatIntervalMs: number;
  outageLimitMs: number;
  capabilities: Capabilities;
}

/** `id` names a line or a lease; the runner counts. */
export type ToGuard =
  | { kind: "start"; start: GuardStart }
  | { kind: "pong" }
  | { kind: "hold_container"; id: number; engine: string; container: string }
  | { kind: "hold_pipe"; id: number; path: string }
  | { kind: "hold_processes"; id: number; mark: string }
  | { kind: "release"; id: number }
  | { kind: "lease"; id: number; order: LeaseOrder }
  /** A step brought its own token; `step` counts those. */
  | { kind: "token"; id: number; token: string; step: number }
  /** The job stands still, as asked. */
  | { kind: "paused"; id: number }
  | { kind: "end_lease"; id: number };

export type FromGuard =
  | { kind: "ready" }
  | { kind: "ping" }
  | { kind: "held"; id: number; fault: string | null }
  | { kind: "lease_news"; id: number; news: LeaseNews };

export type LeaseNews =
  /** `step` is that of the token the heartbeat was sent with. */
  | { kind: "answered"; token: string; step: number; drain: boolean; cancel: boolean; force: boolean }
  | { kind: "unanswered"; error: string }
  /** The plane is down: the job goes on. */
  | { kind: "plane_down" }
  /** Nothing was heard for `unansweredMs`: the job must stand still until `resume`; answer with `paused`. */
  | { kind: "pause"; unansweredMs: number }
  | { kind: "resume" }
  /** Last news. */
  | { kind: "lost"; why: string };
