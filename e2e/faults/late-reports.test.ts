import { encodeLogRecord } from "@shipfox/shared/log-records";
import { nextStepReplySchema } from "@shipfox/shared/machine";
import { describe, expect, it } from "vitest";
import { refusalOf } from "../src/api.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { fault } from "../src/fault.ts";
import { Instance, jobOf, newestExecution, runStep, workflow } from "../src/instance.ts";
import { claimByHand, leased, registerByHand } from "../src/machine.ts";
import { useStage } from "../src/stage.ts";

const TWICE = workflow("Twice", "  job:\n    checkout: false\n    steps:\n      - run: echo second execution\n");
/** Long enough for the late call of this test on a busy machine. */
const TAIL_MS = "60000";
const TIMES = { SHIPFOX_LEASE_TERM_MS: "4000", SHIPFOX_HEARTBEAT_INTERVAL_MS: "500", SHIPFOX_LOG_TAIL_MS: TAIL_MS };

const output = (data: string) => encodeLogRecord({ v: 1, ts: 1, type: "output", stream: "stdout", data });

describe("a runner that is heard again after its job was given away", () => {
  const stage = useStage();

  // The runner of the product stops such a job by itself; so one that does not is played by hand.
  it(`${fault(10, "a runner that went on with its job")}`, async () => {
    const plane = await ControlPlane.start(stage, { times: TIMES });
    const instance = await Instance.create(stage, plane);
    const project = await instance.project({ "twice.yml": TWICE });
    const token = await instance.registrationToken();
    const { session_token: session } = await registerByHand(plane.url, token, ["linux"]);
    const runId = await instance.fire(project, "Twice");
    const claim = await claimByHand(plane.url, session);
    let lease = claim.lease_token;
    const call = (path: string, options = {}) => leased(plane.url, lease, path, options);
    let next = nextStepReplySchema.parse((await call("/runs/jobs/current/steps/next")).body);
    if (next.kind === "step" && next.step.type === "setup") {
      lease = next.lease_token;
      await call(`/runs/jobs/current/steps/${next.step.id}/report`, {
        body: { status: "succeeded", log_outcome: "drained", attempt: next.attempt, exit_code: 0 },
      });
      next = nextStepReplySchema.parse((await call("/runs/jobs/current/steps/next")).body);
    }
    if (next.kind !== "step") throw new Error("there is no step to run");
    lease = next.lease_token;
    const { id: stepId } = next.step;
    const logs = (offset: number) => `/runs/jobs/current/steps/${stepId}/logs?attempt=1&offset=${offset}`;
    const ndjson = { "content-type": "application/x-ndjson" };
    const early = output("first execution, in time\n");
    expect((await call(logs(0), { body: early, headers: ndjson })).status).toBe(200);

    await instance.waitForRun(runId, (run) => jobOf(run, "job").job_executions.length === 2, {
      what: "is queued again",
    });
    await instance.runner({ name: "second" });
    const done = await instance.waitForRun(runId);
    expect(done.status).toBe("succeeded");

    const report = { status: "failed", log_outcome: "drained", attempt: 1, exit_code: 1, error: { message: "late" } };
    expect(refusalOf(await call(`/runs/jobs/current/steps/${stepId}/report`, { body: report }))).toMatchObject({
      status: 404,
      code: "lease-not-active",
    });
    expect(refusalOf(await call("/runs/jobs/current/steps/next"))).toMatchObject({ code: "lease-not-active" });
    expect(refusalOf(await call(`/runners/jobs/${claim.job_id}/heartbeat`))).toMatchObject({
      status: 404,
      code: "running-job-execution-not-found",
    });
    const late = await call(logs(Buffer.byteLength(early)), { body: output("and late\n"), headers: ndjson });
    expect(late.status).toBe(200);

    const run = await instance.run(runId);
    expect(run.status).toBe("succeeded");
    expect(newestExecution(jobOf(run, "job"))).toMatchObject({
      sequence: 2,
      status: "succeeded",
      runner_name: "second",
    });
    expect(jobOf(run, "job").job_executions[0]).toMatchObject({ status: "failed", status_reason: "runner_lost" });
    expect(await instance.logText(stepId)).toBe("first execution, in time\nand late\n");
    expect(await instance.logText(runStep(jobOf(run, "job")).id)).toContain("\nsecond execution\n");
  });
});
