import { describe, expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { executionLost } from "../runs/public.ts";
import { LEASE_ROUTES, NEXT } from "./lease-routes.fixture.ts";
import { logLines, ServedPlane } from "./served-plane.fixture.ts";

/** Ways in which a lease ends other than by its own last report, with the reason that later calls are told. */
const ENDS = {
  expired: async (plane: ServedPlane, fence: number) => {
    const { store, dispatch } = plane.inside;
    const lease = await plane.inside.principal(fence);
    await store.write(async (tx) => {
      const loss = { cause: "runner_lost", message: "gone", avoidedSessionId: null } as const;
      await executionLost(tx, dispatch.runs, lease.executionId, loss, Date.now());
      await dispatch.end(tx, { fence, job_execution_id: lease.executionId }, "expired", Date.now());
    });
  },
  cancelled: async (plane: ServedPlane, fence: number) => {
    const { runId } = await plane.inside.principal(fence);
    await plane.asUser("POST", `/workflows/runs/${runId}/cancel`, { force: true });
  },
  revoked: async (plane: ServedPlane, fence: number) => {
    const { runnerId } = await plane.inside.principal(fence);
    await plane.asUser("POST", `/workspaces/${plane.inside.workspaceId}/runners/${runnerId}/revoke`);
  },
} as const;

async function endedJob(plane: ServedPlane, reason: keyof typeof ENDS) {
  const { job, runId } = await plane.runningJob();
  const step = await plane.startedStep(job.lease_token);
  await ENDS[reason](plane, job.lease.fence);
  return { about: { job, step }, runId, token: step.lease_token };
}

const lateCalls = async (plane: ServedPlane, runId: string) =>
  (await plane.inside.run(runId)).events.filter((type) => type === "lease.late_call");

describeStores("calls after the lease ended", (open) => {
  describe.each(["expired", "cancelled", "revoked"] as const)("%s", (reason) => {
    it("are refused with the reason, change nothing and are recorded once", async () => {
      const plane = await ServedPlane.start(await open());
      const { about, runId, token } = await endedJob(plane, reason);
      const before = await plane.inside.run(runId);
      const routes = [...LEASE_ROUTES, NEXT].filter(({ gone }) => gone !== null);
      for (const route of [...routes, ...routes]) {
        const { status, body } = await route.call(plane, about, token);
        if (route.name === "release" && reason === "cancelled") {
          expect([route.name, status]).toEqual([route.name, 204]);
          continue;
        }
        expect([route.name, status, body?.code, body?.details?.reason]).toEqual([route.name, 404, route.gone, reason]);
      }
      const after = await plane.inside.run(runId);
      expect(await lateCalls(plane, runId)).toHaveLength(reason === "cancelled" ? 0 : 1);
      expect({ ...after, events: after.events.filter((type) => type !== "lease.late_call") }).toEqual(before);
    });

    it("still add to the log until it closes, and afterwards get its frozen length, whatever the offset", async () => {
      const plane = await ServedPlane.start(await open());
      const { about, token } = await endedJob(plane, reason);
      const records = logLines("a late line");
      const append = (offset: number) => plane.append(about.step, offset, records, token);
      expect(await append(0)).toMatchObject({ status: 200, body: { committed_length: records.length } });
      expect(await append(7 * records.length)).toMatchObject({ status: 409, body: { code: "offset-gap" } });
      await plane.inside.dispatch.deps.logs.closeDue(Date.now() + 600_000);
      for (const offset of [0, records.length, 7 * records.length]) {
        expect(await append(offset)).toMatchObject({ status: 200, body: { committed_length: records.length } });
      }
    });
  });

  it("of a finished job are answered as the published protocol does", async () => {
    const plane = await ServedPlane.start(await open());
    const { job, runId } = await plane.runningJob();
    await plane.inside.finish(job.job_execution_id);
    expect(await plane.heartbeat(job)).toMatchObject({ status: 200, body: { cancel: true } });
    expect(await plane.next(job.lease_token)).toMatchObject({
      status: 200,
      body: { kind: "done", status: "succeeded" },
    });
    expect((await plane.release(job, "draining")).status).toBe(204);
    expect((await plane.inside.run(runId)).executions).toHaveLength(1);
  });
});
