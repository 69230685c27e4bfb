import { ApiError } from "@shipfox/shared/errors";
import type { LeasePrincipal, Route, RouteContext } from "../../http/route.ts";
import type { Dispatch } from "./dispatch.ts";

/** Ended leases whose late call is known to be recorded; forgetting one costs a statement. */
const MAX_REMEMBERED = 10_000;
const REFUSALS: ReadonlySet<string> = new Set(["lease-not-active", "running-job-execution-not-found"]);

const FIRST_LATE_CALL = `update leases set late_call_at = ? where fence = ? and job_execution_id = ? and ended_at is not null
  and late_call_at is null`;

/**
 * The routes of a lease, with an eye on calls that come after its end: the first one that is refused is a run event, so
 * that people see that a runner still worked on a job that was given away. Later ones of the same lease are not recorded,
 * nor are those after a cancel, which are how a runner learns of it.
 */
export function recordLateCalls(dispatch: Dispatch, routes: readonly Route[]): Route[] {
  const remembered = new Set<number>();
  return routes.map((route) => {
    if (route.credential !== "lease") return route;
    const handle = async (context: RouteContext<"lease", undefined, undefined, undefined>) => {
      try {
        return await route.handle(context);
      } catch (error) {
        const { principal } = context;
        const reason = refusalReason(error);
        if (reason !== null && reason !== "cancelled" && !remembered.has(principal.fence)) {
          if (remembered.size >= MAX_REMEMBERED) remembered.clear();
          remembered.add(principal.fence);
          await record(dispatch, principal, { call: `${route.method} ${route.path}`, reason });
        }
        throw error;
      }
    };
    return { ...route, handle };
  });
}

function refusalReason(error: unknown): string | null {
  if (!(error instanceof ApiError) || !REFUSALS.has(error.code)) return null;
  const reason: unknown = Object(error.details).reason;
  return typeof reason === "string" ? reason : "superseded";
}

/** A refusal is answered whether or not it could be recorded. */
async function record(
  dispatch: Dispatch,
  principal: LeasePrincipal,
  refused: { call: string; reason: string },
): Promise<void> {
  const { store, clock, log } = dispatch.deps;
  const now = clock.now();
  await store
    .write(async (tx) => {
      if ((await tx.run(FIRST_LATE_CALL, [now, principal.fence, principal.executionId])) === 0) return;
      tx.record({
        workspaceId: principal.workspaceId,
        projectId: principal.projectId,
        runId: principal.runId,
        jobId: principal.jobId,
        executionId: principal.executionId,
        type: "lease.late_call",
        payload: { ...refused, fence: principal.fence, runner_id: principal.runnerId },
        createdAt: now,
      });
    })
    .catch((error: unknown) => log.warn({ err: error, fence: principal.fence }, "a late call was not recorded"));
}
