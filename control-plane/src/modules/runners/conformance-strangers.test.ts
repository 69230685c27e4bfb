import { expect, it } from "vitest";
import { testTokens } from "../../testing/api.ts";
import { describeStores } from "../../store/testing.ts";
import { LEASE_ROUTES, NEXT } from "./lease-routes.fixture.ts";
import { ServedPlane } from "./served-plane.fixture.ts";

const ALL = [...LEASE_ROUTES, NEXT];

describeStores("a stranger", (open) => {
  it("that holds the lease of another job learns nothing of this one and changes nothing", async () => {
    const plane = await ServedPlane.start(await open());
    const mine = await plane.runningJob();
    const step = await plane.startedStep(mine.job.lease_token);
    const other = await plane.runningJob();
    const foreign = await plane.startedStep(other.job.lease_token);
    const before = await plane.inside.run(mine.runId);
    for (const route of LEASE_ROUTES) {
      for (const token of [other.job.lease_token, foreign.lease_token]) {
        const { status, body } = await route.call(plane, { job: mine.job, step }, token);
        const code = route.namesJob ? "lease-job-mismatch" : "step-not-found";
        expect([route.name, status, body.code]).toEqual([route.name, 404, code]);
      }
    }
    expect(await plane.inside.run(mine.runId)).toEqual(before);
    expect((await plane.append(step, 0, "")).body).toMatchObject({ committed_length: 0 });
  });

  it("without a lease is refused with 401, whatever else it holds", async () => {
    const plane = await ServedPlane.start(await open());
    const { job, session, runId } = await plane.runningJob();
    const step = await plane.startedStep(job.lease_token);
    const before = await plane.inside.run(runId);
    const registration = await plane.inside.registrationToken();
    const user = testTokens.signUser({
      userId: job.job_id,
      email: "a@example.com",
      name: null,
      refreshSessionId: job.job_id,
    });
    for (const route of ALL) {
      for (const token of [undefined, session, registration, user, `${step.lease_token}x`, "a b", ""]) {
        const { status, body } = await route.call(plane, { job, step }, token);
        expect([route.name, token, status, body.code]).toEqual([route.name, token, 401, "unauthorized"]);
      }
    }
    expect(await plane.inside.run(runId)).toEqual(before);
  });

  it("cannot claim or sign off with the token of a lease", async () => {
    const plane = await ServedPlane.start(await open());
    const { job, session } = await plane.runningJob();
    expect((await plane.claim(job.lease_token)).status).toBe(401);
    expect((await plane.call("DELETE", "/runners/session", { token: job.lease_token })).status).toBe(401);
    expect(
      (await plane.call("PUT", "/runners/session/health", { token: job.lease_token, body: { state: "healthy" } }))
        .status,
    ).toBe(401);
    expect((await plane.claim(session)).status).toBe(204);
  });
});
