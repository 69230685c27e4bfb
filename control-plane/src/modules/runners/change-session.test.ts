import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { relabelSession } from "./change-session.ts";
import { noInstances } from "./no-instances.fixture.ts";
import { describeCredential } from "./register.ts";
import { revokeRunner } from "./manage-runners.ts";
import { TestPlane, workflow } from "./test-plane.ts";

const gpu = workflow("  build:\n    runner: gpu\n    steps: [{ run: 'true' }]\n");

describeStores("the labels of an open session", (open) => {
  it("change without ending the leases under it, and wake its parked claim for what it may take now", async () => {
    const plane = await TestPlane.start(await open());
    await plane.fire(workflow());
    const { sessionId, runnerId } = await plane.register(["linux"], { persistent: true });
    const held = await plane.claim(sessionId);
    await plane.fire(gpu);
    expect(await plane.claim(sessionId)).toBeNull();
    const parked = plane.claim(sessionId, { waitMs: 10_000 });
    await relabelSession(plane.dispatch, sessionId, ["linux", "GPU"]);
    expect(await parked).toMatchObject({ runnerId });
    expect(await plane.heartbeat(held?.fence ?? 0)).toEqual({ cancel: false, drain: false });
    expect(await plane.finish(held?.executionId ?? "")).toBe("succeeded");
    const stored = await plane.store.read((tx) =>
      tx.get<{ labels: string }>("select labels from runners where id = ?", [runnerId]),
    );
    expect(JSON.parse(stored?.labels ?? "")).toEqual(["gpu", "linux"]);
  });

  it("lead no more jobs of the former ones to it, parked claims and new label sets included", async () => {
    const plane = await TestPlane.start(await open());
    const { sessionId } = await plane.register(["linux"]);
    const other = await plane.register(["linux"]);
    await plane.fire(workflow());
    expect(await plane.claim(other.sessionId)).not.toBeNull();
    const parked = plane.claim(sessionId, { waitMs: 10_000 });
    await relabelSession(plane.dispatch, sessionId, ["gpu"]);
    await plane.fire(workflow());
    expect(await plane.claim(other.sessionId, { waitMs: 10_000 })).not.toBeNull();
    await plane.fire(gpu);
    expect(await parked).not.toBeNull();
  });

  it("are refused when there are none, and when the session has ended", async () => {
    const plane = await TestPlane.start(await open());
    const { sessionId, runnerId } = await plane.register(["linux"], { persistent: true });
    await expect(relabelSession(plane.dispatch, sessionId, [" "])).rejects.toMatchObject({
      code: "empty-runner-labels",
    });
    await plane.store.write((tx) => revokeRunner(tx, plane.dispatch, plane.workspaceId, runnerId, Date.now()));
    await expect(relabelSession(plane.dispatch, sessionId, ["gpu"])).rejects.toMatchObject({
      code: "runner-session-exhausted",
    });
  });
});

describeStores("a credential that is only shown", (open) => {
  it("says who it is good for and is not used up", async () => {
    const plane = await TestPlane.start(await open());
    const show = (raw: string) => plane.store.read((tx) => describeCredential(tx, noInstances, raw, Date.now()));
    const token = await plane.registrationToken({ maxUses: 1 });
    for (let times = 0; times < 3; times += 1)
      expect(await show(token)).toMatchObject({ kind: "registration_token", workspace_id: plane.workspaceId });
    const { runnerId, runnerToken } = await plane.register(["linux"], { token, persistent: true });
    expect(await show(runnerToken ?? "")).toMatchObject({ kind: "runner", runner_id: runnerId });
    await expect(show(token)).rejects.toMatchObject({ code: "registration-token-exhausted" });
    await plane.store.write((tx) => revokeRunner(tx, plane.dispatch, plane.workspaceId, runnerId, Date.now()));
    await expect(show(runnerToken ?? "")).rejects.toMatchObject({ code: "runner-revoked" });
    await expect(show(`sf_rt_${"x".repeat(43)}`)).rejects.toMatchObject({ code: "unauthorized" });
    await expect(show(await plane.registrationToken({ ttlSeconds: -1 }))).rejects.toMatchObject({
      code: "registration-token-expired",
    });
  });
});
