import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { workflow } from "./test-plane.ts";
import { FAILED, logLines, SUCCEEDED, ServedPlane } from "./served-plane.fixture.ts";

const TWO_STEPS = workflow("  a:\n    runner: linux\n    steps: [{ run: 'one' }, { run: 'two' }]\n");
const times = <T>(count: number, act: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => act(index)));

describeStores("repeated, parallel and reordered calls", (open) => {
  it("claim: a key gets one job, also in parallel, until its first heartbeat", async () => {
    const plane = await ServedPlane.start(await open());
    const runs = await times(3, () => plane.inside.fire(workflow()));
    const session = await plane.session();
    const claims = await times(6, () => plane.claim(session, { key: "one" }));
    const given = claims.filter(({ status }) => status === 200);
    expect(new Set(given.map(({ body }) => body.job_execution_id)).size).toBe(1);
    const again = await plane.claim(session, { key: "one" });
    expect(again.body.job_execution_id).toBe(given[0]?.body.job_execution_id);
    expect((await plane.heartbeat(again.body)).status).toBe(200);
    expect(await plane.claim(session, { key: "one" })).toMatchObject({ status: 409, body: { code: "claim-key-used" } });
    expect((await plane.claim(session, { key: "two" })).status).toBe(200);
    const states = await Promise.all(runs.map((runId) => plane.inside.run(runId)));
    expect(states.filter(({ status }) => status === "running")).toHaveLength(2);
  });

  it("claim: many runners at once, each job has one holder; nothing left is 204 without a body", async () => {
    const plane = await ServedPlane.start(await open());
    await times(4, () => plane.inside.fire(workflow()));
    const sessions = await times(8, () => plane.session());
    const claims = await Promise.all(sessions.map((session) => plane.claim(session)));
    const given = claims.filter(({ status }) => status === 200).map(({ body }) => body.job_execution_id);
    expect(new Set(given).size).toBe(4);
    expect(given).toHaveLength(4);
    expect(claims.filter(({ status }) => status === 204).every(({ body }) => body === null)).toBe(true);
  });

  it("next: the running step comes back, with a token for it, however often it is asked", async () => {
    const plane = await ServedPlane.start(await open());
    const { job } = await plane.runningJob(TWO_STEPS);
    const replies = await times(5, () => plane.next(job.lease_token));
    expect(new Set(replies.map(({ body }) => `${body.kind} ${body.step.id} ${body.attempt}`)).size).toBe(1);
    for (const { headers } of replies) expect(headers.get("cache-control")).toBe("no-store");
  });

  it("report: the first one counts, a repeat and another verdict change nothing, also in parallel", async () => {
    const plane = await ServedPlane.start(await open());
    const { job, runId } = await plane.runningJob(TWO_STEPS);
    const setup = await plane.startedStep(job.lease_token);
    const replies = await times(4, () => plane.report(setup.id, setup.lease_token, SUCCEEDED));
    expect(replies.map(({ status, body }) => [status, body])).toEqual(
      replies.map(() => [200, { ok: true, cancel: false }]),
    );
    expect((await plane.report(setup.id, setup.lease_token, FAILED)).body).toEqual({ ok: true, cancel: false });
    const step = await plane.startedStep(setup.lease_token);
    expect(step.id).not.toBe(setup.id);
    const finished = (await plane.inside.run(runId)).events.filter((type) => type === "step.finished");
    expect(finished).toHaveLength(1);
  });

  it("report: a step that has not started, an attempt ahead, a foreign step", async () => {
    const plane = await ServedPlane.start(await open());
    const { job, runId } = await plane.runningJob(TWO_STEPS);
    const setup = await plane.startedStep(job.lease_token);
    const { body } = await plane.asUser("GET", `/workflows/runs/${runId}`);
    const later = body.jobs[0].job_executions[0].steps[2].id;
    const report = (stepId: string, change: object) =>
      plane.report(stepId, setup.lease_token, { ...SUCCEEDED, ...change });
    expect(await report(later, {})).toMatchObject({ status: 409, body: { code: "step-not-running" } });
    expect(await report(setup.id, { attempt: 2 })).toMatchObject({ status: 409, body: { code: "step-attempt-ahead" } });
    expect(await report(job.job_id, {})).toMatchObject({ status: 404, body: { code: "step-not-found" } });
    expect(await report("nonsense", {})).toMatchObject({ status: 400, body: { code: "validation-error" } });
  });

  it("report: a failed one needs an error, a succeeded one must not have any", async () => {
    const plane = await ServedPlane.start(await open());
    const { job } = await plane.runningJob();
    const setup = await plane.startedStep(job.lease_token);
    const wrong = [
      { ...SUCCEEDED, error: { message: "no" } },
      { status: "failed", log_outcome: "drained" },
      { status: "cancelled", log_outcome: "drained" },
      { status: "succeeded" },
      { ...SUCCEEDED, attempt: 0 },
      { ...SUCCEEDED, response: "x".repeat(8193) },
      {},
    ];
    for (const body of wrong) {
      expect(await plane.report(setup.id, setup.lease_token, body)).toMatchObject({
        status: 400,
        body: { code: "validation-error" },
      });
    }
    expect((await plane.report(setup.id, setup.lease_token, SUCCEEDED)).status).toBe(200);
  });

  it("report: the last failed step answers cancel, the last succeeded one does not, and next then says done", async () => {
    const plane = await ServedPlane.start(await open());
    for (const [verdict, cancel] of [
      [FAILED, true],
      [SUCCEEDED, false],
    ] as const) {
      const { job } = await plane.runningJob();
      const setup = await plane.startedStep(job.lease_token);
      await plane.report(setup.id, setup.lease_token, SUCCEEDED);
      const step = await plane.startedStep(setup.lease_token);
      expect((await plane.report(step.id, step.lease_token, verdict)).body).toEqual({ ok: true, cancel });
      expect((await plane.next(step.lease_token)).body).toEqual({ kind: "done", status: verdict.status });
      expect((await plane.report(step.id, step.lease_token, verdict)).body).toEqual({ ok: true, cancel });
    }
  });

  it("logs: every offset is appended once, a repeat is acknowledged, a gap is told where to go on", async () => {
    const plane = await ServedPlane.start(await open());
    const { job } = await plane.runningJob();
    const step = await plane.startedStep(job.lease_token);
    const [first, second] = [logLines("one"), logLines("two")];
    const length = Buffer.byteLength(first);
    expect((await plane.append(step, 0, "")).body).toEqual({ committed_length: 0, capped: false });
    expect(await plane.append(step, length, second)).toMatchObject({
      status: 409,
      body: { code: "offset-gap", details: { committed_length: 0 } },
    });
    const replies = await times(4, () => plane.append(step, 0, first));
    expect(replies.map(({ status, body }) => [status, body.committed_length])).toEqual(
      replies.map(() => [200, length]),
    );
    expect(await plane.append(step, 1, first + second)).toMatchObject({
      status: 409,
      body: { details: { committed_length: length } },
    });
    await times(3, () => plane.append(step, length, second));
    expect((await plane.append(step, 0, "")).body.committed_length).toBe(2 * length);
  });

  it("logs: only whole, valid records of the step and attempt that the token was made for", async () => {
    const plane = await ServedPlane.start(await open());
    const { job } = await plane.runningJob();
    const step = await plane.startedStep(job.lease_token);
    const line = logLines("x");
    for (const records of [
      line.slice(0, -1),
      "{}\n",
      "nonsense\n",
      '{"v":1,"ts":1,"type":"capped"}\n',
      '{"v":1,"ts":1,"type":"runner_lost"}\n',
    ]) {
      expect(await plane.append(step, 0, records)).toMatchObject({
        status: 400,
        body: { code: "malformed-log-chunk" },
      });
    }
    const notFound = { status: 404, body: { code: "step-not-found" } };
    expect(await plane.append({ ...step, attempt: 2 }, 0, line)).toMatchObject(notFound);
    expect(await plane.append(step, 0, line, job.lease_token)).toMatchObject(notFound);
    expect(await plane.append({ ...step, id: job.job_id }, 0, line)).toMatchObject(notFound);
    expect((await plane.append(step, 0, "")).body.committed_length).toBe(0);
  });

  it("heartbeat: renews as often as it is sent, with or without a body, and refuses what it does not know", async () => {
    const plane = await ServedPlane.start(await open());
    const { job } = await plane.runningJob();
    const replies = await times(3, () => plane.heartbeat(job));
    for (const { status, body } of replies) {
      expect([status, body.cancel, typeof body.lease_token]).toEqual([200, false, "string"]);
      expect((await plane.heartbeat({ ...job, lease_token: body.lease_token })).status).toBe(200);
    }
    const send = (body: unknown) =>
      plane.call("POST", `/runners/jobs/${job.job_id}/heartbeat`, { token: job.lease_token, body });
    expect((await send({ capabilities: { harnesses: {} } })).status).toBe(200);
    expect((await send(null)).status).toBe(200);
    expect(await send({ labels: [] })).toMatchObject({ status: 400, body: { code: "validation-error" } });
  });

  it("release: a repeat is harmless, and the job is queued once", async () => {
    const plane = await ServedPlane.start(await open());
    const { job, runId } = await plane.runningJob();
    const replies = await times(4, () => plane.release(job, "machine_going"));
    expect(replies.map(({ status }) => status)).toEqual([204, 204, 204, 204]);
    expect((await plane.inside.run(runId)).executions).toMatchObject([
      { sequence: 1, status: "failed", status_reason: "runner_lost" },
      { sequence: 2, status: "pending" },
    ]);
    const { body } = await plane.asUser("GET", `/workflows/runs/${runId}`);
    expect(body.jobs[0].job_executions[0]).toMatchObject({
      failure_class: "infrastructure",
      failure_cause: "machine_going",
    });
    expect(await plane.release(job, "bored")).toMatchObject({ status: 400 });
  });

  it("register: a manual token may be used freely, each time for a runner of its own", async () => {
    const plane = await ServedPlane.start(await open());
    const token = await plane.inside.registrationToken();
    const replies = await times(3, () => plane.register({ token }));
    expect(new Set(replies.map(({ body }) => body.session_id)).size).toBe(3);
    for (const { body } of replies) expect(body).toMatchObject({ mode: "manual", max_claims: null });
    for (const body of [
      {},
      { labels: [] },
      { labels: ["linux"], capabilities: { flying: true } },
      { labels: ["a b"] },
    ]) {
      const reply = await plane.call("POST", "/runners/register", { token, body });
      expect([body, reply.status]).toEqual([body, 400]);
    }
  });
});
