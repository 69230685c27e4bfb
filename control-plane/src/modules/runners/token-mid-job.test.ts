import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { workflow } from "./test-plane.ts";
import { ServedPlane, SUCCEEDED } from "./served-plane.fixture.ts";

describeStores("a credential that changes in the middle of a job", (open) => {
  it("a revoked registration token stops new runners; the job of one that it made goes on", async () => {
    const plane = await ServedPlane.start(await open());
    await plane.inside.fire(workflow());
    const token = await plane.inside.registrationToken();
    const { body: runner } = await plane.register({ token });
    const { body: job } = await plane.claim(runner.session_token);
    const tokens = `/workspaces/${plane.inside.workspaceId}/runners/manual-registration-tokens`;
    const listed = (await plane.asUser("GET", tokens)).body.manual_registration_tokens;
    expect((await plane.asUser("POST", `${tokens}/${listed[0].id}/revoke`)).status).toBe(200);

    expect(await plane.register({ token })).toMatchObject({
      status: 401,
      body: { code: "manual-registration-token-revoked" },
    });
    expect(await plane.heartbeat(job)).toMatchObject({ status: 200, body: { cancel: false } });
    const step = await plane.startedStep(job.lease_token);
    expect((await plane.report(step.id, step.lease_token, SUCCEEDED)).status).toBe(200);
  });

  it("each heartbeat brings a new lease token, and those before it stay good while the lease lives", async () => {
    const plane = await ServedPlane.start(await open());
    const { job } = await plane.runningJob();
    const { body } = await plane.heartbeat(job);
    expect((await plane.next(body.lease_token)).status).toBe(200);
    expect((await plane.next(job.lease_token)).status).toBe(200);
  });

  it("a revoked runner is stopped at its parked heartbeat, fenced, and its job runs elsewhere", async () => {
    const plane = await ServedPlane.start(await open(), { settings: { avoidMs: 0 } });
    const { job, session } = await plane.runningJob();
    await plane.heartbeat(job);
    const parked = plane.heartbeat(job, "?wait_seconds=8");
    const { runnerId } = await plane.inside.principal(job.lease.fence);
    const other = await plane.session();
    await plane.asUser("POST", `/workspaces/${plane.inside.workspaceId}/runners/${runnerId}/revoke`);
    expect(await parked).toMatchObject({ status: 404, body: { details: { reason: "revoked" } } });
    expect(await plane.claim(session)).toMatchObject({ status: 409, body: { code: "runner-session-exhausted" } });
    expect(await plane.claim(other)).toMatchObject({ status: 200, body: { job_id: job.job_id } });
  });

  it("a copied credential is refused, and the live runner and its job are not touched", async () => {
    const plane = await ServedPlane.start(await open());
    await plane.inside.fire(workflow());
    const first = (await plane.register({ persistent: true })).body;
    const second = (await plane.register({ token: first.runner_token })).body;
    const { body: job } = await plane.claim(second.session_token);
    expect(await plane.register({ token: first.runner_token })).toMatchObject({
      status: 409,
      body: { code: "runner-credential-reused" },
    });
    expect(await plane.heartbeat(job)).toMatchObject({ status: 200, body: { cancel: false } });
  });
});
