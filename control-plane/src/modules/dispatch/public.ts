/** What other modules and app.ts may use of dispatch. */
export { Dispatch } from "./dispatch.ts";
export { claim, openSession, type Claim } from "./claim.ts";
export { heartbeat } from "./heartbeat.ts";
export { endRunnerLeases, releaseLease } from "./give-up.ts";
export { recordLateCalls } from "./late-calls.ts";
export { createWaitingPort } from "./explain.ts";
export { leaseEndedAt, leaseGone, presentedLeaseEndedAt, requireLive, requireStanding } from "./leases.ts";
export { Reaper, runDueLeases } from "./reaper.ts";
export { isOnline } from "./sessions.ts";
export type { DispatchSettings } from "./settings.ts";
export { endUnusedSession, idleSessions, waitingSets } from "./demand.ts";
