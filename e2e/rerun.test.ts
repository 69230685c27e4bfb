import { describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { Gate } from "./src/gate.ts";
import { Instance, isOver, jobOf, newestExecution, runStep, workflow } from "./src/instance.ts";
import { runDetailSchema, runSchema } from "@shipfox/shared/api/runs";
import { useStage } from "./src/stage.ts";

/** The second job fails until the gate is open. */
const flaky = (gate: Gate) =>
  workflow(
    "Flaky",
    `  build:
    steps:
      - run: echo "built $(git rev-parse HEAD)"
  test:
    steps:
      - run: echo "tested $(git rev-parse HEAD)"; ${gate.isOpen}
  deploy:
    needs: [build, test]
    steps:
      - run: echo "deployed $(git rev-parse HEAD)"
`,
  );

describe("a run that is run again", () => {
  const stage = useStage();

  it("keeps what succeeded, with its log, and runs the rest on the same commit", async () => {
    const instance = await Instance.create(stage, await ControlPlane.start(stage));
    const gate = await Gate.create(stage);
    const project = await instance.project({ "flaky.yml": flaky(gate) });
    await instance.runner({ env: { SHIPFOX_RUNNER_CONCURRENCY: "2" } });
    const runId = await instance.fire(project, "Flaky");
    const first = await instance.waitForRun(runId);
    expect(first.jobs.map(({ status }) => status)).toEqual(["succeeded", "failed", "skipped"]);
    const commit = await project.repository.commit({ "LATER.md": "later" });
    await gate.open();

    const path = `/workflows/runs/${runId}/rerun`;
    const again = await instance.api.post(runSchema, path, { mode: "failed" });
    expect(again).toMatchObject({ id: runId, number: first.number, current_attempt: 2, status: "pending" });
    const second = await instance.waitForRun(runId, (run) => run.current_attempt === 2 && isOver(run));
    expect(second.status).toBe("succeeded");
    expect(second.jobs.map(({ key, carried_over }) => [key, carried_over])).toEqual([
      ["build", true],
      ["test", false],
      ["deploy", false],
    ]);
    const executionsOf = (run: typeof first) => newestExecution(jobOf(run, "build")).id;
    expect(executionsOf(second)).toBe(executionsOf(first));
    const [built, tested, deployed] = await Promise.all(
      second.jobs.map(async (job) => /(\w+) ([0-9a-f]{40})/.exec(await instance.logText(runStep(job).id))?.slice(1)),
    );
    expect([built?.[0], tested?.[0], deployed?.[0]]).toEqual(["built", "tested", "deployed"]);
    expect(new Set([built?.[1], tested?.[1], deployed?.[1]]).size).toBe(1);
    expect(built?.[1]).not.toBe(commit);

    const earlier = await instance.api.get(runDetailSchema, `/workflows/runs/${runId}?attempt=1`);
    expect(earlier.jobs.map(({ status }) => status)).toEqual(["succeeded", "failed", "skipped"]);
    expect(earlier.run_attempt).toMatchObject({ attempt: 1, status: "failed", rerun_mode: null });
  });
});
