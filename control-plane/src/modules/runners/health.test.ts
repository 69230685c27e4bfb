import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { workflow } from "./test-plane.ts";
import { ServedPlane } from "./served-plane.fixture.ts";

describeStores("the health of a runner", (open) => {
  const report = (plane: ServedPlane, token: string, body: unknown) =>
    plane.call("PUT", "/runners/session/health", { token, body });
  const sick = { state: "unhealthy", reason: "Docker does not answer" };

  it("is shown with its reason in both lists and to the jobs that wait, until the runner is well again", async () => {
    const plane = await ServedPlane.start(await open());
    const token = await plane.session();
    const runId = await plane.inside.fire(workflow());
    expect((await report(plane, token, sick)).status).toBe(204);
    expect((await report(plane, token, sick)).status).toBe(204);

    const workspace = `/workspaces/${plane.inside.workspaceId}/runners`;
    const [runner] = (await plane.asUser("GET", workspace)).body.runners;
    expect(runner).toMatchObject({ state: "unhealthy", unhealthy: { reason: sick.reason } });
    const [active] = (await plane.asUser("GET", `${workspace}/active`)).body.runners;
    expect(active).toMatchObject({ state: "running", unhealthy_reason: sick.reason });
    const { waiting } = (await plane.asUser("GET", `/workflows/runs/${runId}`)).body.jobs[0];
    expect(waiting).toMatchObject({
      reason: "runners_unhealthy",
      message: "all runners that match are unhealthy: Docker does not answer",
    });

    expect((await report(plane, token, { state: "healthy" })).status).toBe(204);
    expect((await plane.asUser("GET", workspace)).body.runners[0]).toMatchObject({ state: "online", unhealthy: null });
    const types = await plane.inside.store.read((tx) =>
      tx.all<{ type: string }>("select type from run_events where workspace_id = ? and type like 'runner.%health%'", [
        plane.inside.workspaceId,
      ]),
    );
    expect(types.map(({ type }) => type)).toEqual(["runner.unhealthy", "runner.healthy"]);
  });

  it("survives a restart of the control plane and ends with the session", async () => {
    const plane = await ServedPlane.start(await open());
    const { body } = await plane.register();
    await report(plane, body.session_token, sick);
    plane.inside.dispatch.sessions.forget(body.session_id);
    expect((await plane.claim(body.session_token)).status).toBe(204);
    expect(plane.inside.dispatch.sessions.get(body.session_id)?.fault).toMatchObject({ reason: sick.reason });
    await plane.call("DELETE", "/runners/session", { token: body.session_token });
    expect(await report(plane, body.session_token, sick)).toMatchObject({
      status: 409,
      body: { code: "runner-session-exhausted" },
    });
  });

  it("does not hide a job that other runners can take", async () => {
    const plane = await ServedPlane.start(await open());
    const token = await plane.session();
    await report(plane, token, { state: "unhealthy" });
    await plane.claim(await plane.session());
    const runId = await plane.inside.fire(workflow());
    const { waiting } = (await plane.asUser("GET", `/workflows/runs/${runId}`)).body.jobs[0];
    expect(waiting).toMatchObject({ reason: "all_runners_busy", runners: { matching: 2, busy: 1 } });
  });
});
