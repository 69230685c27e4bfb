import { randomUUID } from "node:crypto";
import { IDEMPOTENCY_KEY_HEADER } from "@shipfox/shared/machine";
import { encodeLogRecord } from "@shipfox/shared/log-records";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { HandRunner } from "../src/hand-runner.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runStep, workflow } from "../src/instance.ts";
import { processesWith } from "../src/processes.ts";
import type { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";
import { HttpProxy } from "../src/http-proxy.ts";

const LINES = 40;
const ENDLESS_SECONDS = "87655.5";
const CLAIM = /^\/runners\/jobs\/request/;
const HEARTBEAT = /^\/runners\/jobs\/[^/]+\/heartbeat/;
const APPEND = /^\/runs\/jobs\/current\/steps\/[^/]+\/logs/;

const counting = (name: string, pause: string) =>
  workflow(
    name,
    `  job:
    checkout: false
    steps:
      - run: for i in $(seq 1 ${LINES}); do echo "line $i"; sleep ${pause}; done
`,
  );
/** Sleeps for ever on a runner that is cut off, ends at once on others. */
const UNLESS_CUT_OFF = workflow(
  "Unless cut off",
  `  job:
    checkout: false
    steps:
      - run: |
          echo begun
          case "$SHIPFOX_RUNNER_NAME" in cut-*) sleep ${ENDLESS_SECONDS} ;; esac
`,
);
const BY_HAND = workflow("By hand", "  job:\n    runner: hand\n    checkout: false\n    steps:\n      - run: 'true'\n");
const EXPECTED = Array.from({ length: LINES }, (_, index) => `line ${index + 1}`);

describe("answers of the control plane are lost", () => {
  const stage = useStage();
  let instance: Instance;
  let proxy: HttpProxy;
  let project: ProjectHandle;
  let runner: Runner;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    proxy = await HttpProxy.start(stage, instance.plane.url);
    project = await instance.project({
      "quick.yml": counting("Quick", "0.02"),
      // Longer than a lease.
      "slow.yml": counting("Slow", "0.2"),
      "unless.yml": UNLESS_CUT_OFF,
      "hand.yml": BY_HAND,
    });
    runner = await instance.runner({ apiUrl: proxy.url });
  });

  /** One execution, which succeeded, with each line of its log once and in order. */
  async function expectWhole(runId: string): Promise<void> {
    const job = jobOf(await instance.waitForRun(runId), "job");
    expect(job.job_executions).toHaveLength(1);
    expect(newestExecution(job)).toMatchObject({ status: "succeeded", status_reason: null });
    const lines = (await instance.logText(runStep(job).id)).split("\n").filter((line) => line.startsWith("line "));
    expect(lines).toEqual(EXPECTED);
  }

  const handRunner = async () => HandRunner.register(instance.plane.url, await instance.registrationToken(), ["hand"]);

  it(`${fault(6, "the runner asks again with the same key")}`, async () => {
    const lost = proxy.rule({
      path: CLAIM,
      trouble: { kind: "lose-answer" },
      when: ({ status }) => status === 200,
      times: 1,
    });
    // Parked claims were made before the rule.
    proxy.breakConnections();
    const runId = await instance.fire(project, "Quick");
    await expectWhole(runId);
    lost.end();
    const [met] = lost.met;
    const execution = newestExecution(jobOf(await instance.run(runId), "job"));
    expect(JSON.parse(met?.answers[0]?.body.toString() ?? "null")).toMatchObject({ job_execution_id: execution.id });
    expect(met?.request.headers[IDEMPOTENCY_KEY_HEADER]).toMatch(/./);
    // Nothing was burned: the next job is the next claim's.
    await expectWhole(await instance.fire(project, "Quick"));
  });

  it(`${fault(7, "with one key, twice at once, by a runner's own connection")}`, async () => {
    const twice = proxy.rule({ path: CLAIM, trouble: { kind: "twice" } });
    proxy.breakConnections();
    const runs = [await instance.fire(project, "Quick"), await instance.fire(project, "Quick")];
    for (const runId of runs) await expectWhole(runId);
    twice.end();
    proxy.breakConnections();
    expect(twice.met.length).toBeGreaterThan(0);
    for (const { answers } of twice.met) {
      const jobs = answers.filter(({ status }) => status === 200).map(({ body }) => JSON.parse(body.toString()));
      expect(new Set(jobs.map(({ job_execution_id }) => job_execution_id)).size).toBeLessThanOrEqual(1);
    }
  });

  it(`${fault(7, "one key gives one job, however many wait")}`, async () => {
    const hand = await handRunner();
    const runIds = [await instance.fire(project, "By hand"), await instance.fire(project, "By hand")];
    const key = randomUUID();
    const claims = await Promise.all([1, 2, 3].map(() => hand.claim({ key })));
    expect(new Set(claims.map(({ job_execution_id }) => job_execution_id)).size).toBe(1);
    expect(new Set(claims.map(({ lease }) => lease?.fence)).size).toBe(1);
    const [first] = claims;
    if (!first) throw new Error("nothing was claimed");
    expect((await hand.heartbeat(first)).status).toBe(200);
    // The job has visibly started: the key is used up.
    expect(await hand.claimCall({ key })).toMatchObject({ status: 409, body: { code: "claim-key-used" } });
    await hand.finish(first);
    await hand.finish(await hand.claim());
    for (const runId of runIds) expect((await instance.waitForRun(runId)).status).toBe("succeeded");
  });

  it(`${fault(8, "for longer than the lease")}`, async () => {
    const lost = proxy.rule({ path: HEARTBEAT, trouble: { kind: "lose-answer" } });
    const runId = await instance.fire(project, "Slow");
    await expectWhole(runId);
    lost.end();
    expect(lost.met.flatMap(({ answers }) => answers.filter(({ status }) => status === 200)).length).toBeGreaterThan(2);
  });

  it(`${fault(14, "the connection breaks after each second append")}`, async () => {
    const runId = await instance.fire(project, "Quick");
    let count = 0;
    const lost = proxy.rule({
      path: APPEND,
      trouble: { kind: "lose-answer" },
      when: ({ status }) => status === 200 && (count += 1) % 2 === 1,
    });
    await expectWhole(runId);
    lost.end();
    expect(lost.met.length).toBeGreaterThan(1);
  });

  it(`${fault(14, "every append arrives twice")}`, async () => {
    const rule = proxy.rule({ path: APPEND, trouble: { kind: "twice" } });
    await expectWhole(await instance.fire(project, "Quick"));
    rule.end();
    expect(rule.met.length).toBeGreaterThan(1);
  });

  it(`${fault(15, "the runner was told of an append that never arrived")}`, async () => {
    const watched = proxy.rule({ path: APPEND, trouble: { kind: "watch" } });
    const lie = proxy.rule({
      path: APPEND,
      times: 1,
      trouble: {
        kind: "answer",
        status: 200,
        body: ({ path, body }) => ({
          committed_length: Number(new URL(path, proxy.url).searchParams.get("offset")) + body.length,
          capped: false,
        }),
      },
    });
    await expectWhole(await instance.fire(project, "Quick"));
    watched.end();
    lie.end();
    const refused = watched.met.flatMap(({ answers }) => answers).filter(({ status }) => status === 409);
    expect(refused.map(({ body }) => JSON.parse(body.toString()).code)).toContain("offset-gap");
  });

  it(`${fault(15, "the parts arrive in the wrong order")}`, async () => {
    const hand = await handRunner();
    const runId = await instance.fire(project, "By hand");
    const claim = await hand.claim();
    const step = await hand.firstRunStep(claim);
    const parts = ["one\n", "two\n", "three\n", "four\n"].map((data, index) =>
      encodeLogRecord({ v: 1, ts: index, type: "output", stream: "stdout", data }),
    );
    const offsets = parts.map((_, index) => Buffer.byteLength(parts.slice(0, index).join("")));
    const send = (index: number) =>
      hand.append(step.lease_token, step.step.id, offsets[index] ?? 0, parts[index] ?? "");
    for (const [index, held] of [
      [2, 0],
      [0, null],
      [3, 1],
      [1, null],
      [0, null],
      [3, 2],
      [2, null],
      [3, null],
    ] as const) {
      const answer = await send(index);
      if (held === null) expect(answer.status).toBe(200);
      else {
        expect(answer).toMatchObject({
          status: 409,
          body: { code: "offset-gap", details: { committed_length: offsets[held] } },
        });
      }
    }
    expect((await hand.reportCall(step)).status).toBe(200);
    await instance.waitForRun(runId);
    expect(await instance.logText(step.step.id)).toBe("one\ntwo\nthree\nfour\n");
  });

  it(`${fault(12, "heartbeats go nowhere after the first; another runner gets the job")}`, async () => {
    await runner.child.stop();
    const cut = await instance.runner({
      apiUrl: proxy.url,
      name: "cut-off",
      env: { SHIPFOX_RUNNER_OUTAGE_LIMIT_MS: "6000" },
    });
    const watched = proxy.rule({ path: HEARTBEAT, trouble: { kind: "watch" } });
    const runId = await instance.fire(project, "Unless cut off");
    await eventually("the step runs", async () => (await processesWith(ENDLESS_SECONDS)).length > 0);
    await eventually("a heartbeat was answered", async () =>
      watched.met.some(({ answers }) => answers[0]?.status === 200),
    );
    const lost = proxy.rule({ path: HEARTBEAT, trouble: { kind: "lose-request" } });
    // Nothing else tells it, and it gets no other job: all calls are lost.
    const all = proxy.rule({ path: /^\/(?:runs\/|runners\/jobs\/request)/, trouble: { kind: "lose-request" } });
    proxy.breakConnections();
    await eventually("the step is dead", async () => (await processesWith(ENDLESS_SECONDS)).length === 0);
    expect(lost.met.length).toBeGreaterThan(2);
    const other = await instance.runner({ name: "reachable" });
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    const [first, second, ...more] = jobOf(run, "job").job_executions;
    expect(more).toEqual([]);
    expect(first).toMatchObject({ status: "failed", status_reason: "runner_lost", runner_name: "cut-off" });
    expect(second).toMatchObject({ status: "succeeded", runner_name: "reachable", retry_of: first?.id });
    for (const rule of [watched, lost, all]) rule.end();
    await Promise.all([cut.child.stop(), other.child.stop()]);
  });

  it(`${fault(26, "kill -9, then cancelled before its lease has ended")}`, async () => {
    const gone = await instance.runner({ name: "cut-gone" });
    const runId = await instance.fire(project, "Unless cut off");
    const { step } = await instance.stepPrinted(runId, "job", "begun");
    await gone.kill9();
    const cancelled = await instance.api.call("POST", `/workflows/runs/${runId}/cancel`);
    expect(cancelled).toMatchObject({ status: 200, body: { status: "cancelled" } });
    const run = await instance.run(runId);
    expect(run.status).toBe("cancelled");
    expect(jobOf(run, "job").job_executions).toMatchObject([{ status: "cancelled", status_reason: "run_cancelled" }]);
    // Its place is free and the job is not given to anybody.
    const next = await instance.runner({ name: "next" });
    expect((await instance.waitForRun(await instance.fire(project, "Quick"))).status).toBe("succeeded");
    expect(jobOf(await instance.run(runId), "job").job_executions).toHaveLength(1);
    expect(await instance.logText(step.id)).toContain("begun");
    await next.child.stop();
  });
});
