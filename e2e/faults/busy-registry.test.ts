import { shellLayer, StandInRegistry } from "@shipfox/shared/stand-in-registry.fixture";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { docker } from "../src/docker.ts";
import { fault } from "../src/fault.ts";
import { Instance, jobOf, newestExecution, runStep, workflow } from "../src/instance.ts";
import type { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

const SANDBOX_IMAGE = "shipfox/sandbox:1";
/** More than a runner tries for one job. */
const MANY = 100;

describe("[docker] a registry that cannot serve", () => {
  const stage = useStage();
  const images: string[] = [];
  let registry: StandInRegistry;
  let layer: Buffer;
  let instance: Instance;
  let runner: Runner;

  beforeAll(async () => {
    registry = await StandInRegistry.start();
    layer = await shellLayer(SANDBOX_IMAGE);
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    runner = await instance.runner({ sandbox: "docker", env: { SHIPFOX_RUNNER_WARM: "0" } });
  });

  afterAll(async () => {
    for (const image of images)
      await docker
        .getImage(image)
        .remove({ force: true })
        .catch(() => {});
    await registry[Symbol.asyncDispose]();
  });

  /** Starts a job in an image that this machine does not have yet. */
  async function fireIn(repository: string): Promise<string> {
    const image = registry.publish({ repository, tag: "1", layer });
    images.push(image);
    const project = await instance.project({
      "pull.yml": workflow(
        "Pull",
        `  job:\n    image: ${image}\n    checkout: false\n    steps:\n      - run: echo in the image\n`,
      ),
    });
    return await instance.fire(project, "Pull");
  }

  async function expectDone(runId: string, executions: number): Promise<string> {
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    const job = jobOf(run, "job");
    expect(job.job_executions).toHaveLength(executions);
    expect(await instance.logText(runStep(job).id)).toContain("\nin the image\n");
    return await instance.logText(newestExecution(job).steps[0]?.id ?? "");
  }

  it.each([429, 503])(`${fault(30, "%i for a moment: tried again, as the log says")}`, async (status) => {
    // The engine itself asks twice.
    registry.faults.push(status, status);
    const runId = await fireIn(`team/moment-${status}`);
    expect(await expectDone(runId, 1)).toContain("Trying again in");
  });

  it.each([429, 503])(
    `${fault(30, "%i for longer: the job goes back to the queue with the reason, and runs when the registry serves again")}`,
    async (status) => {
      registry.faults.push(...Array<number>(MANY).fill(status));
      const runId = await fireIn(`team/longer-${status}`);
      const again = await instance.waitForRun(runId, (run) => jobOf(run, "job").job_executions.length === 2);
      registry.faults.splice(0);
      const [first] = jobOf(again, "job").job_executions.toSorted((left, right) => left.sequence - right.sequence);
      expect(first).toMatchObject({
        status: "failed",
        failure_class: "infrastructure",
        failure_cause: "image_unavailable",
      });
      expect(first?.status_reason_message).toMatch(new RegExp(`${status}|registry|too many requests`, "i"));
      await expectDone(runId, 2);
    },
  );

  it(`${fault(30, "nothing is left")}`, async () => {
    await runner.child.stop();
    expect(await runner.dockerThings()).toEqual([]);
  });
});
