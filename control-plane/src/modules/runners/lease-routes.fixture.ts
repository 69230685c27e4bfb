import type { ApiReply } from "../../testing/api.ts";
import { logLines, SUCCEEDED, type ServedPlane, type WireClaim, type WireStep } from "./served-plane.fixture.ts";

/** One route that a lease opens. A new one is added here and is then held against everything that is true of all of them. */
export interface LeaseRoute {
  readonly name: string;
  /** Names the job in its path: answers `lease-job-mismatch` for another one. The others name a step of the lease's job. */
  readonly namesJob: boolean;
  /** What it answers when the lease has ended; null when it does not ask for a live lease. */
  readonly gone: "lease-not-active" | "running-job-execution-not-found" | null;
  call(plane: ServedPlane, about: { job: WireClaim; step: WireStep }, token: string | undefined): Promise<ApiReply>;
}

const stepRoute = (
  name: string,
  gone: LeaseRoute["gone"],
  method: string,
  path: (step: WireStep) => string,
  body?: unknown,
): LeaseRoute => ({
  name,
  namesJob: false,
  gone,
  call: (plane, { step }, token) =>
    plane.call(method, `/runs/jobs/current/${path(step)}`, {
      ...(token === undefined ? {} : { token }),
      ...(body === undefined ? {} : { body }),
    }),
});

const jobRoute = (name: string, gone: LeaseRoute["gone"], body?: unknown): LeaseRoute => ({
  name,
  namesJob: true,
  gone,
  call: (plane, { job }, token) =>
    plane.call("POST", `/runners/jobs/${job.job_id}/${name}`, {
      ...(token === undefined ? {} : { token }),
      ...(body === undefined ? {} : { body }),
    }),
});

/** `next` names neither job nor step: the lease alone says what it is about. */
export const NEXT = stepRoute("next", "lease-not-active", "POST", () => "steps/next");
export const LEASE_ROUTES: readonly LeaseRoute[] = [
  jobRoute("heartbeat", "running-job-execution-not-found"),
  jobRoute("release", "lease-not-active", { reason: "draining" }),
  stepRoute("report", "lease-not-active", "POST", ({ id }) => `steps/${id}/report`, SUCCEEDED),
  stepRoute("checkout-token", "lease-not-active", "POST", ({ id }) => `steps/${id}/checkout-token?attempt=1`),
  stepRoute("secrets", "lease-not-active", "GET", ({ id }) => `steps/${id}/secrets?attempt=1`),
  stepRoute("logs", null, "POST", ({ id }) => `steps/${id}/logs?attempt=1&offset=0`, Buffer.from(logLines("x"))),
  stepRoute(
    "agent-runtime-config",
    "lease-not-active",
    "GET",
    ({ id }) => `agent-runtime-config?step_id=${id}&attempt=1`,
  ),
];
