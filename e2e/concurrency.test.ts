import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { Gate } from "./src/gate.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

const deploy = (name: string, concurrency: string, gate: Gate) =>
  workflow(
    name,
    `  deploy:
    concurrency: ${concurrency}
    checkout: false
    steps:
      - run: echo deploying; ${gate.wait}
`,
  );

describe("jobs of one concurrency group", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;
  let gate: Gate;

  beforeAll(async () => {
    gate = await Gate.create(stage);
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({
      "deploy.yml": deploy("Deploy", "production", gate),
      "preview.yml": deploy("Preview", "{ group: preview, on_busy: replace }", gate),
    });
    // Two that could run two of them at once.
    await instance.runner({ sandbox: "host" });
    await instance.runner({ sandbox: "host" });
  });

  beforeEach(() => gate.close());

  const waitingOf = async (runId: string) => jobOf(await instance.run(runId), "deploy").waiting;
  const times = (runId: string) =>
    instance.run(runId).then((run) => {
      const { started_at: start, finished_at: end } = newestExecution(jobOf(run, "deploy"));
      return { start: Date.parse(start ?? ""), end: Date.parse(end ?? "") };
    });

  it("go one after another in their order, also when the control plane is killed while they wait", async () => {
    const runs = [];
    for (let count = 0; count < 3; count += 1) runs.push(await instance.fire(project, "Deploy"));
    const [first = "", second = "", third = ""] = runs;
    await instance.stepPrinted(first, "deploy", "deploying\n");
    await plane.kill9();
    await plane.restart();
    for (const runId of [second, third])
      expect(await waitingOf(runId)).toMatchObject({
        reason: "concurrency_group",
        concurrency: { group: "production", held_by: { run_id: first, run_number: 1, job_key: "deploy" } },
      });
    await gate.open();
    for (const runId of runs) expect((await instance.waitForRun(runId)).status).toBe("succeeded");
    const [one, two, three] = [await times(first), await times(second), await times(third)];
    expect(two.start).toBeGreaterThanOrEqual(one.end);
    expect(three.start).toBeGreaterThanOrEqual(two.end);
  });

  it("are replaced by a newer one, which starts once the older one has stopped", async () => {
    const older = await instance.fire(project, "Preview");
    await instance.stepPrinted(older, "deploy", "deploying\n");
    const newer = await instance.fire(project, "Preview");
    const stopped = await instance.waitForRun(older);
    expect(stopped.status).toBe("cancelled");
    expect(jobOf(stopped, "deploy")).toMatchObject({
      status_reason: "replaced",
      status_reason_message: "run 2 of Preview came after it in its concurrency group and replaces it",
    });
    await instance.stepPrinted(newer, "deploy", "deploying\n");
    await gate.open();
    expect((await instance.waitForRun(newer)).status).toBe("succeeded");
  });
});
