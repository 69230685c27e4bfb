import { type RunDetail, runSchema } from "@shipfox/shared/api/runs";
import { beforeAll, describe, expect, it } from "vitest";
import { refusalOf } from "../src/api.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { fault } from "../src/fault.ts";
import { Instance, jobOf, type ProjectHandle, workflow } from "../src/instance.ts";
import { claimByHand, leased, registerByHand } from "../src/machine.ts";
import { processesBelow } from "../src/processes.ts";
import { useStage } from "../src/stage.ts";

const QUICK = workflow("Quick", "  job:\n    checkout: false\n    steps:\n      - run: echo quick\n");
const NOBODY = QUICK.replace("name: Quick", "name: By hand").replace("runner: linux", "runner: by-hand");
/** Spread over the time that the quick job takes, so that some come while it begins and some while it ends. */
const CANCELS = 24;
const STEP_MS = 25;

describe("a cancel that comes at an awkward moment", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "quick.yml": QUICK, "nobody.yml": NOBODY });
  });

  it(`${fault(25, "claimed, before the runner has done anything")}`, async () => {
    const { session_token: session } = await registerByHand(plane.url, await instance.registrationToken(), ["by-hand"]);
    const runId = await instance.fire(project, "By hand");
    const claim = await claimByHand(plane.url, session);
    const run = await instance.api.post(runSchema, `/workflows/runs/${runId}/cancel`);
    expect(run.status).toBe("cancelled");
    expect((await leased(plane.url, claim.lease_token, `/runners/jobs/${claim.job_id}/heartbeat`)).body).toMatchObject({
      cancel: true,
    });
    const next = await leased(plane.url, claim.lease_token, "/runs/jobs/current/steps/next");
    expect(refusalOf(next)).toMatchObject({ status: 404, code: "lease-not-active" });
    expect(statesOf(await instance.run(runId))).toEqual(["cancelled", "cancelled", "cancelled"]);
  });

  it(`${fault(25, "at every moment from its claim to its end")}`, async () => {
    const runner = await instance.runner({ env: { SHIPFOX_RUNNER_CONCURRENCY: "4" } });
    const verdicts = await Promise.all(Array.from({ length: CANCELS }, (_, index) => cancelAfter(index * STEP_MS)));
    expect(verdicts.every((verdict) => verdict === "cancelled" || verdict === "succeeded")).toBe(true);
    expect((await instance.waitForRun(await instance.fire(project, "Quick"))).status).toBe("succeeded");
    await runner.child.stop();
    expect(await processesBelow(runner.stateDir)).toEqual([]);
  });

  /** One terminal state of the run, its job and the execution, and what the cancel answered agrees with it. */
  async function cancelAfter(delayMs: number): Promise<string> {
    const runId = await instance.fire(project, "Quick");
    await instance.waitForRun(runId, (run) => run.status !== "pending", { what: "is claimed" });
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    const answer = await instance.api.call("POST", `/workflows/runs/${runId}/cancel`);
    const run = await instance.waitForRun(runId);
    const verdict = answer.status === 200 ? "cancelled" : "succeeded";
    if (answer.status !== 200) expect(refusalOf(answer)).toMatchObject({ status: 409, code: "run-already-finished" });
    expect(statesOf(run)).toEqual([verdict, verdict, verdict]);
    expect(jobOf(run, "job").job_executions).toHaveLength(1);
    return run.status;
  }
});

function statesOf(run: RunDetail): string[] {
  const job = jobOf(run, "job");
  return [run.status, job.status, ...job.job_executions.map(({ status }) => status)];
}
