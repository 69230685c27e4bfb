import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { fault } from "../src/fault.ts";
import { Instance, jobOf, type ProjectHandle, runStep, workflow } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";
import { WallClock } from "../src/wall-clock.ts";

/** Together they take longer than a lease at the times of these tests. */
const LINES = 60;
const COUNTING = workflow(
  "Counting",
  `  job:
    checkout: false
    steps:
      - run: for i in $(seq 1 ${LINES}); do echo "line $i"; sleep 0.1; done
        timeout: 10m
`,
);
const EXPECTED = Array.from({ length: LINES }, (_, index) => `line ${index + 1}`);
const STUCK = workflow(
  "Stuck",
  `  job:
    checkout: false
    steps:
      - run: echo begun; if [ "$SHIPFOX_RUNNER_NAME" = first ]; then sleep 300; fi; echo done
`,
);

describe("a clock that jumps", () => {
  const stage = useStage();
  let planeClock: WallClock;
  let runnerClock: WallClock;
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    planeClock = await WallClock.create(stage);
    runnerClock = await WallClock.create(stage);
    instance = await Instance.create(stage, await ControlPlane.start(stage, { env: planeClock.env }));
    project = await instance.project({ "counting.yml": COUNTING, "stuck.yml": STUCK });
  });

  beforeEach(async () => {
    await planeClock.jumpTo("+0");
    await runnerClock.jumpTo("+0");
    await instance.signInAgain();
  });

  it.each([
    { where: "the control plane's", offset: "+1h", jump: (offset: string) => planeClock.jumpTo(offset) },
    { where: "the control plane's", offset: "-1h", jump: (offset: string) => planeClock.jumpTo(offset) },
    { where: "the runner's", offset: "+1h", jump: (offset: string) => runnerClock.jumpTo(offset) },
    { where: "the runner's", offset: "-1h", jump: (offset: string) => runnerClock.jumpTo(offset) },
  ])(`${fault(13, "$where, by $offset in the middle of a job: nothing expires early")}`, async ({ offset, jump }) => {
    const runner = await instance.runner({ name: "steady", env: runnerClock.env });
    const runId = await instance.fire(project, "Counting");
    const { step } = await instance.stepPrinted(runId, "job", "line 2\n");
    await jump(offset);
    // The user's own token is short-lived by the wall clock.
    await instance.signInAgain();
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    expect(jobOf(run, "job").job_executions).toHaveLength(1);
    expect(runStep(jobOf(run, "job")).id).toBe(step.id);
    const lines = (await instance.logText(step.id)).split("\n").filter((line) => /^line \d+$/.test(line));
    expect(lines).toEqual(EXPECTED);
    expect((await runner.child.stop()).code).toBe(0);
  });

  it(`${fault(13, "an hour back: a lost runner is still noticed, not an hour late")}`, async () => {
    const first = await instance.runner({ name: "first" });
    const runId = await instance.fire(project, "Stuck");
    await instance.stepPrinted(runId, "job", "begun\n");
    await planeClock.jumpTo("-1h");
    await instance.signInAgain();
    await first.kill9();
    const second = await instance.runner({ name: "second" });
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    expect(jobOf(run, "job").job_executions).toHaveLength(2);
    await second.child.stop();
  });
});
