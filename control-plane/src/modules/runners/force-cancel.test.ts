import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { TestPlane, workflow } from "./test-plane.ts";

async function runningJob(plane: TestPlane) {
  const runId = await plane.fire(workflow());
  const { sessionId } = await plane.register();
  const claimed = await plane.claim(sessionId);
  const fence = claimed?.fence ?? 0;
  await plane.next(claimed?.executionId ?? "");
  await plane.heartbeat(fence);
  return { runId, fence };
}

describeStores("a forced cancel", (open) => {
  it("ends the lease at once, tells the parked heartbeat and answers later ones as to a lease that is gone", async () => {
    const plane = await TestPlane.start(await open());
    const { runId, fence } = await runningJob(plane);
    const parked = plane.heartbeat(fence, 10_000);
    await plane.cancel(runId, true);
    expect(await parked).toEqual({ cancel: true, drain: false, force: true });
    expect([...plane.dispatch.leases.all()]).toHaveLength(0);
    await expect(plane.heartbeat(fence)).rejects.toMatchObject({
      code: "running-job-execution-not-found",
      details: { reason: "cancelled" },
    });
    expect(await plane.run(runId)).toMatchObject({ status: "cancelled", executions: [{ status: "cancelled" }] });
  });

  it("takes the rest of its grace from a run that is already being cancelled, once", async () => {
    const plane = await TestPlane.start(await open());
    const { runId, fence } = await runningJob(plane);
    await plane.cancel(runId);
    expect(await plane.heartbeat(fence)).toEqual({ cancel: true, drain: false });
    const parked = plane.heartbeat(fence, 10_000, true);
    await plane.cancel(runId, true);
    expect(await parked).toEqual({ cancel: true, drain: false, force: true });
    await expect(plane.cancel(runId, true)).rejects.toMatchObject({ code: "run-already-finished" });
  });

  it("cancels a queued run like any other cancel", async () => {
    const plane = await TestPlane.start(await open());
    const runId = await plane.fire(workflow());
    await plane.cancel(runId, true);
    expect(await plane.run(runId)).toMatchObject({ status: "cancelled", jobs: [{ status: "cancelled" }] });
    await expect(plane.cancel(runId, true)).rejects.toMatchObject({ code: "run-already-finished" });
  });
});
