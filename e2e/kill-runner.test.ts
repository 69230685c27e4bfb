import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { eventually } from "./src/eventually.ts";
import { Instance, isOver, jobOf, type ProjectHandle, workflow } from "./src/instance.ts";
import type { Runner } from "./src/runner.ts";
import { useStage } from "./src/stage.ts";

/** Long enough to be killed in the middle; a process in the background does not heed SIGTERM. */
const SLOW = workflow(
  "Slow",
  `  job:
    steps:
      - run: |
          (trap '' TERM; sleep 300) &
          echo begun
          sleep 3
          echo "done on $SHIPFOX_RUNNER_NAME"
`,
);

describe("[docker] a runner that is killed in the middle of a job", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    project = await instance.project({ "slow.yml": SLOW });
  });

  /** Waits until the job prints and kills its runner. */
  async function killInTheMiddle(runId: string, runner: Runner): Promise<void> {
    await instance.stepPrinted(runId, "job", "begun");
    expect(await runner.dockerThings("job")).not.toEqual([]);
    await runner.kill9();
  }

  async function expectSecondExecution(runId: string, finishedOn: string): Promise<void> {
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    const job = jobOf(run, "job");
    expect(job).toMatchObject({ status: "succeeded", status_reason: null });
    const [first, second, ...more] = job.job_executions.toSorted((left, right) => left.sequence - right.sequence);
    expect(more).toEqual([]);
    expect(first).toMatchObject({ sequence: 1, status: "failed", status_reason: "runner_lost", retry_of: null });
    expect(first?.status_reason_message).toMatch(/runner/);
    expect(second).toMatchObject({ sequence: 2, status: "succeeded", status_reason: null, retry_of: first?.id });

    const lost = first?.steps.find((step) => step.type === "run");
    const done = second?.steps.find((step) => step.type === "run");
    expect(await instance.logText(lost?.id ?? "")).toContain("begun\n");
    expect(await instance.logText(done?.id ?? "")).toContain(`done on ${finishedOn}\n`);
    await eventually("the log of the lost execution says that its runner was lost", async () =>
      (await instance.logRecords(lost?.id ?? "")).some(({ type }) => type === "runner_lost"),
    );
  }

  it("has its job run again on another runner; nothing of it goes on running", async () => {
    const first = await instance.runner({ sandbox: "docker", name: "first" });
    const runId = await instance.fire(project, "Slow");
    await killInTheMiddle(runId, first);
    const second = await instance.runner({ sandbox: "docker", name: "second" });

    await expectSecondExecution(runId, "second");
    await eventually(
      "the containers of the killed runner are gone",
      async () => (await first.dockerThings("job")).length === 0,
    );
    expect((await instance.runnerNamed("first")).jobs).toEqual([]);

    await second.child.stop();
    expect(await second.dockerThings()).toEqual([]);
    // What is left of the killed runner are empty networks at most; its next start removes them.
    await first.restart();
    await first.child.stop();
    expect(await first.dockerThings()).toEqual([]);
  });

  it("runs the job again itself when it is started again, without waiting for the lease to end", async () => {
    const runner = await instance.runner({ sandbox: "docker", name: "again" });
    const runId = await instance.fire(project, "Slow");
    await killInTheMiddle(runId, runner);
    await runner.restart();

    await expectSecondExecution(runId, "again");
    expect((await instance.runnerNamed("again")).state).toBe("online");
    await runner.child.stop();
    expect(await runner.dockerThings()).toEqual([]);
  });

  it("survives being killed while nothing runs", async () => {
    const runner = await instance.runner({ sandbox: "docker", name: "idle" });
    await runner.kill9();
    await runner.restart();
    const run = await instance.waitForRun(await instance.fire(project, "Slow"), isOver);
    expect(run.status).toBe("succeeded");
    expect(jobOf(run, "job").job_executions).toHaveLength(1);
    await runner.child.stop();
    expect(await runner.dockerThings()).toEqual([]);
  });
});
