import { runnerSchema } from "@shipfox/shared/api/runners";
import { Ec2MetadataServer } from "@shipfox/shared/ec2-metadata.fixture";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { Gate } from "../src/gate.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, workflow } from "../src/instance.ts";
import { processesWith } from "../src/processes.ts";
import type { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

const slow = (gate: Gate) => workflow("Slow", `  job:\n    steps:\n      - run: echo begun; ${gate.wait}; echo done\n`);
const ENDLESS_SECONDS = "87653.5";
/** Sleeps for ever on runners that leave, ends at once on others. */
const UNLESS_ELSEWHERE = workflow(
  "Unless elsewhere",
  `  job:
    steps:
      - run: |
          echo begun
          case "$SHIPFOX_RUNNER_NAME" in leaves-*) sleep ${ENDLESS_SECONDS} ;; esac
          echo done
`,
);

describe("a runner that is asked to go", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;
  let gate: Gate;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    gate = await Gate.create(stage);
    project = await instance.project({ "slow.yml": slow(gate), "unless.yml": UNLESS_ELSEWHERE });
  });

  const drain = async (runner: Runner) => {
    const { id } = await instance.runnerNamed(runner.name);
    return instance.api.post(runnerSchema, `/workspaces/${instance.workspaceId}/runners/${id}/drain`);
  };

  /** A job that a first runner works on and one that waits behind it. */
  const busyRunner = async (name: string) => {
    await gate.close();
    const runner = await instance.runner({ name });
    const running = await instance.fire(project, "Slow");
    await instance.stepPrinted(running, "job", "begun");
    const waiting = await instance.fire(project, "Slow");
    return { runner, running, waiting };
  };

  /** Its own job is done; the one behind it waits, until another runner comes. */
  const expectDrained = async ({ runner, running, waiting }: Awaited<ReturnType<typeof busyRunner>>) => {
    const done = await instance.run(running);
    expect(done.status).toBe("succeeded");
    expect(jobOf(done, "job").job_executions).toHaveLength(1);
    const left = await instance.run(waiting);
    expect(left.status).toBe("pending");
    expect(jobOf(left, "job").waiting?.reason).toBe("no_runner_online");

    const next = await instance.runner({ name: `after-${runner.name}` });
    const run = await instance.waitForRun(waiting);
    expect(run.status).toBe("succeeded");
    expect(newestExecution(jobOf(run, "job")).runner_name).toBe(next.name);
    await next.child.stop();
  };

  it(`${fault(23, "its job is finished, nothing more is claimed, and it exits with 0")}`, async () => {
    const scene = await busyRunner("terminated");
    scene.runner.child.signal("SIGTERM");
    await scene.runner.child.printed(/draining/);
    await gate.open();
    expect(await scene.runner.child.exited).toEqual({ code: 0, signal: null });
    await expectDrained(scene);
  });

  it("does the same when it is drained through the API", async () => {
    const scene = await busyRunner("drained");
    expect(await drain(scene.runner)).toMatchObject({
      state: "draining",
      drain_requested_at: expect.any(String),
    });
    await scene.runner.child.printed(/draining/);
    await gate.open();
    expect(await scene.runner.child.exited).toEqual({ code: 0, signal: null });
    await expectDrained(scene);
  });

  it("exits with 0 at once when it is drained while it waits", async () => {
    const runner = await instance.runner({ name: "idle" });
    await drain(runner);
    expect(await runner.child.exited).toEqual({ code: 0, signal: null });
  });

  it(`${fault(23, "a second signal hands the job back and ends it at once")}`, async () => {
    const runner = await instance.runner({ name: "leaves-twice" });
    const runId = await instance.fire(project, "Unless elsewhere");
    await instance.stepPrinted(runId, "job", "begun");
    runner.child.signal("SIGTERM");
    await runner.child.printed(/draining/);
    runner.child.signal("SIGTERM");
    const exit = await runner.child.exited;
    expect(exit.signal).toBeNull();
    expect(exit.code).not.toBe(0);
    await eventually("the step is dead", async () => (await processesWith(ENDLESS_SECONDS)).length === 0);

    const next = await instance.runner({ name: "stays-too" });
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    expect(jobOf(run, "job").job_executions[0]?.status_reason_message).toMatch(/draining/);
    await next.child.stop();
  });

  it(`${fault(23, "the job is handed back when the drain timeout has passed")}`, async () => {
    const runner = await instance.runner({ name: "leaves-late", env: { SHIPFOX_RUNNER_DRAIN_TIMEOUT_MS: "500" } });
    const runId = await instance.fire(project, "Unless elsewhere");
    await instance.stepPrinted(runId, "job", "begun");
    expect((await runner.child.stop()).code).toBe(0);
    const next = await instance.runner({ name: "stays-three" });
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    expect(jobOf(run, "job").job_executions).toHaveLength(2);
    await next.child.stop();
  });

  it(`${fault(37, "announced by EC2's metadata service")}`, async () => {
    const metadata = await Ec2MetadataServer.start();
    stage.onEnd(() => metadata.close());
    const env = { SHIPFOX_RUNNER_MACHINE_NOTICE: "ec2", SHIPFOX_RUNNER_EC2_METADATA_URL: metadata.url };
    const runner = await instance.runner({ name: "leaves-spot", env });
    const runId = await instance.fire(project, "Unless elsewhere");
    await instance.stepPrinted(runId, "job", "begun");
    metadata.pages.set("/latest/meta-data/spot/instance-action", '{"action":"terminate"}');
    // Its machine is still there: it ended by itself.
    expect(await runner.child.exited).toEqual({ code: 0, signal: null });
    const left = jobOf(await instance.run(runId), "job");
    expect(left.job_executions.map(({ status }) => status)).toEqual(["failed", "pending"]);
    expect(left.job_executions[0]?.status_reason_message).toMatch(/EC2 announced/);

    const next = await instance.runner({ name: "stays-four" });
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    expect(newestExecution(jobOf(run, "job")).runner_name).toBe(next.name);
    await next.child.stop();
  });
});
