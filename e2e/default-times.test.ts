import { describe, expect, it } from "vitest";
import { ControlPlane, DEFAULT_TIMES } from "./src/control-plane.ts";
import { Instance, jobOf, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

/** The promise: a lost runner is noticed in 45 s or less. */
const NOTICE_LIMIT_MS = 45_000;
/** A lost runner is noticed when its lease ends; the test waits a little longer before it gives up. */
const WAIT_LIMIT_MS = 90_000;

/** Ends on the second runner only. */
const SLOW = workflow(
  "Slow",
  `  job:
    steps:
      - run: |
          echo begun
          if [ "$SHIPFOX_RUNNER_NAME" = first ]; then sleep 600; fi
          echo done
`,
);

describe("with the times that users get", () => {
  const stage = useStage();

  it("queues the job of a killed runner again within 45 s", async () => {
    const plane = await ControlPlane.start(stage, { times: DEFAULT_TIMES });
    const instance = await Instance.create(stage, plane);
    const project = await instance.project({ "slow.yml": SLOW });
    const first = await instance.runner({ name: "first" });
    const runId = await instance.fire(project, "Slow");
    await instance.stepPrinted(runId, "job", "begun");
    const killedAt = Date.now();
    await first.kill9();
    await instance.runner({ name: "second" });

    const run = await instance.waitForRun(runId, undefined, { limitMs: WAIT_LIMIT_MS });
    expect(run.status).toBe("succeeded");
    const [lost, again] = jobOf(run, "job").job_executions.toSorted((left, right) => left.sequence - right.sequence);
    expect(lost).toMatchObject({ status: "failed", status_reason: "runner_lost", runner_name: "first" });
    expect(again).toMatchObject({ status: "succeeded", runner_name: "second" });
    expect(Date.parse(again?.queued_at ?? "") - killedAt).toBeLessThanOrEqual(NOTICE_LIMIT_MS);
  });
});
