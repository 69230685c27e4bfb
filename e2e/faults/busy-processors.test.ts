import { availableParallelism } from "node:os";
import { describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { fault } from "../src/fault.ts";
import { Instance, jobOf, runStep, workflow } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";

/** Of the job's loops for each processor. */
const LOOPS = 4;
/** Three terms of the lease and more. */
const SECONDS = 15;
const HUNGRY = workflow(
  "Hungry",
  `  job:
    checkout: false
    steps:
      - run: |
          for i in $(seq 1 ${LOOPS * availableParallelism()}); do (while :; do :; done) & done
          sleep ${SECONDS}
          kill $(jobs -p)
          echo fed
`,
);

describe("a job that takes all it can get", () => {
  const stage = useStage();

  it(`${fault(11, `${LOOPS} loops for each processor`)}`, async () => {
    const instance = await Instance.create(stage, await ControlPlane.start(stage));
    const project = await instance.project({ "hungry.yml": HUNGRY });
    await instance.runner();
    const run = await instance.waitForRun(await instance.fire(project, "Hungry"));
    expect(run.status).toBe("succeeded");
    expect(jobOf(run, "job").job_executions).toHaveLength(1);
    expect(await instance.logText(runStep(jobOf(run, "job")).id)).toContain("\nfed\n");
  });
});
