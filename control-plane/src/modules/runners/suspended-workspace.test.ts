import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { TestPlane, workflow } from "./test-plane.ts";

const TWO_IN_ORDER = workflow(`  build:
    runner: linux
    steps: [{ run: 'true' }]
  deploy:
    runner: linux
    needs: build
    steps: [{ run: 'true' }]
`);
const WAIT_MS = 60_000;

const setStatus = (plane: TestPlane, status: string) =>
  plane.store.write((tx) => tx.run("update workspaces set status = ? where id = ?", [status, plane.workspaceId]));

describeStores("a suspended workspace", (open) => {
  it("lets a job that runs go on to its end, and starts no other until it is opened again", async () => {
    const plane = await TestPlane.start(await open());
    const { sessionId } = await plane.register();
    const runId = await plane.fire(TWO_IN_ORDER);
    const build = await plane.claim(sessionId);
    await setStatus(plane, "suspended");
    expect(await plane.heartbeat(build?.fence ?? 0)).toMatchObject({ cancel: false });
    expect(await plane.finish(build?.executionId ?? "")).toBe("succeeded");
    expect(await plane.claim(sessionId)).toBeNull();
    expect((await plane.run(runId)).jobs.map(({ status }) => status)).toEqual(["succeeded", "pending"]);
    await setStatus(plane, "active");
    const deploy = await plane.claim(sessionId);
    expect(await plane.finish(deploy?.executionId ?? "")).toBe("succeeded");
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  it("keeps its runners waiting and wakes them when it is opened again", async () => {
    const plane = await TestPlane.start(await open());
    const { sessionId } = await plane.register();
    await setStatus(plane, "suspended");
    await plane.fire(workflow());
    const waiting = plane.claim(sessionId, { waitMs: WAIT_MS });
    await expect.poll(() => plane.dispatch.waiters.size).toBe(1);
    await setStatus(plane, "active");
    plane.dispatch.waiters.wakeWorkspace(plane.workspaceId);
    expect(await waiting).toMatchObject({ runnerId: expect.any(String) });
  });

  it("answers a claim whose reply was lost with the same job", async () => {
    const plane = await TestPlane.start(await open());
    const { sessionId } = await plane.register();
    await plane.fire(workflow());
    const first = await plane.claim(sessionId, { key: "once" });
    await setStatus(plane, "suspended");
    expect(await plane.claim(sessionId, { key: "once" })).toMatchObject({ executionId: first?.executionId });
  });
});
