import { type Run, runSchema } from "@shipfox/shared/api/runs";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { docker } from "../src/docker.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runStep, runSteps, workflow } from "../src/instance.ts";
import { processesWith } from "../src/processes.ts";
import type { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

/** How long the stubborn processes sleep: a number by which they are found in the list of processes. */
const MARKS = { docker: "87654.25", host: "87654.75" };

const stubborn = (mark: string) =>
  workflow(
    "Stubborn",
    `  job:
    steps:
      - run: |
          trap '' TERM
          sh -c "trap '' TERM; sleep ${mark}" &
          setsid sh -c "trap '' TERM; sleep ${mark}" &
          while :; do echo tick; sleep 0.1; done
      - run: echo never
  next:
    needs: job
    steps:
      - run: echo never
`,
  );
const QUICK = workflow("Quick", "  job:\n    steps:\n      - run: echo quick\n");
const STEP_TIMEOUT = workflow(
  "Step timeout",
  `  job:
    steps:
      - run: |
          trap '' TERM
          echo begun
          while :; do sleep 0.1; done
        timeout: 1s
      - run: echo never
`,
);
const JOB_TIMEOUT = workflow(
  "Job timeout",
  `  job:
    execution_timeout: 10s
    steps:
      - run: echo begun; sleep 300
      - run: echo never
`,
);

describe.each([
  { sandbox: "docker" as const, tag: "[docker]" },
  { sandbox: "host" as const, tag: "[host]" },
])("$tag stopping what runs in the $sandbox sandbox", ({ sandbox }) => {
  const stage = useStage();
  const mark = MARKS[sandbox];
  let instance: Instance;
  let project: ProjectHandle;
  let runner: Runner;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    project = await instance.project({
      "stubborn.yml": stubborn(mark),
      "quick.yml": QUICK,
      "step.yml": STEP_TIMEOUT,
      "job.yml": JOB_TIMEOUT,
    });
    runner = await instance.runner({ sandbox });
  });

  const cancel = (runId: string): Promise<Run> => instance.api.post(runSchema, `/workflows/runs/${runId}/cancel`);

  it(`${fault(25, "running: the last lines are kept, the whole tree is killed, the next job is taken")}`, async () => {
    const runId = await instance.fire(project, "Stubborn");
    const { step } = await instance.stepPrinted(runId, "job", "tick");
    await eventually("the stubborn processes are there", async () => (await processesWith(mark)).length >= 2);

    expect((await cancel(runId)).status).toBe("cancelled");
    const run = await instance.run(runId);
    expect(run.status).toBe("cancelled");
    expect(run.jobs.map(({ status, status_reason }) => [status, status_reason])).toEqual([
      ["cancelled", "run_cancelled"],
      ["cancelled", "run_cancelled"],
    ]);
    expect(newestExecution(jobOf(run, "job"))).toMatchObject({ status: "cancelled", status_reason: "run_cancelled" });
    expect(runSteps(jobOf(run, "job")).map(({ status }) => status)).toEqual(["cancelled", "cancelled"]);

    await instance.logShows(step.id, "The job was cancelled.");
    expect(await instance.logText(step.id)).toMatch(/tick\n[^]*The job was cancelled\.\n$/);
    await eventually("the whole tree is dead", async () => (await processesWith(mark)).length === 0);
    if (sandbox === "docker") {
      const label = [`shipfox.execution=${newestExecution(jobOf(run, "job")).id}`];
      await eventually("the job's containers are gone", async () => {
        return (await docker.listContainers({ all: true, filters: { label } })).length === 0;
      });
    }
    const next = await instance.waitForRun(await instance.fire(project, "Quick"));
    expect(next.status).toBe("succeeded");
    expect(await instance.api.refused("POST", `/workflows/runs/${runId}/cancel`)).toMatchObject({
      status: 409,
      code: "run-already-finished",
    });
  });

  it("kills at once when a cancel is forced, also in the middle of a grace of ten minutes", async () => {
    const patient = stubborn(mark).replaceAll("    steps:", "    runner: patient\n    steps:");
    const other = await instance.project({ "patient.yml": patient });
    const env = { SHIPFOX_RUNNER_LABELS: "patient", SHIPFOX_RUNNER_CANCEL_GRACE_MS: "600000" };
    const slow = await instance.runner({ sandbox, name: "patient", env });
    const runId = await instance.fire(other, "Stubborn");
    const { step } = await instance.stepPrinted(runId, "job", "tick");
    await eventually("the stubborn processes are there", async () => (await processesWith(mark)).length >= 2);
    await cancel(runId);
    expect((await processesWith(mark)).length).toBeGreaterThan(0);
    expect(await instance.api.post(runSchema, `/workflows/runs/${runId}/cancel`, { force: true })).toMatchObject({
      status: "cancelled",
    });
    await eventually("the whole tree is dead", async () => (await processesWith(mark)).length === 0);
    await instance.logShows(step.id, "The job was cancelled.");
    await slow.child.printed(/"msg":"job ended"/);
    await slow.child.stop();
    // It did as it was told: nothing for an operator to look at.
    expect(slow.child.output.split('"msg":"job started"')[1]).not.toMatch(/"level":[456]0/);
  });

  it(`${fault(25, "queued")}`, async () => {
    const waiting = workflow("Nobody", "  job:\n    runner: absent\n    steps:\n      - run: 'true'\n");
    const other = await instance.project({ "nobody.yml": waiting });
    const runId = await instance.fire(other, "Nobody");
    expect((await cancel(runId)).status).toBe("cancelled");
    expect(jobOf(await instance.run(runId), "job")).toMatchObject({ status: "cancelled", waiting: null });
  });

  it("stops a step at its timeout with the reason, and skips the rest", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Step timeout"));
    expect(run.status).toBe("failed");
    const [late, rest] = runSteps(jobOf(run, "job"));
    expect(late).toMatchObject({ status: "failed", error: { reason: "timed_out", message: "timed out after 1s" } });
    expect(rest).toMatchObject({ status: "skipped" });
    expect(await instance.logText(late?.id ?? "")).toMatch(/begun\n[^]*timed out after 1s/);
    expect(jobOf(run, "job")).toMatchObject({ status: "failed", status_reason: "step_failed" });
  });

  it("stops a job at its execution_timeout with the reason", async () => {
    const runId = await instance.fire(project, "Job timeout");
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("failed");
    const job = jobOf(run, "job");
    expect(job).toMatchObject({ status: "failed", status_reason: "timed_out" });
    expect(newestExecution(job)).toMatchObject({ status: "failed", timed_out_at: expect.any(String) });
    expect(job.job_executions).toHaveLength(1);
    expect(runStep(job)).toMatchObject({ status: "failed", error: { reason: "timed_out" } });
    expect((await instance.waitForRun(await instance.fire(project, "Quick"))).status).toBe("succeeded");
  });

  it("leaves nothing behind", async () => {
    await runner.child.stop();
    expect(await processesWith(mark)).toEqual([]);
    if (sandbox === "docker") expect(await runner.dockerThings()).toEqual([]);
  });
});
