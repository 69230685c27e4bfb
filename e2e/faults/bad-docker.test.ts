import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { docker } from "../src/docker.ts";
import { DockerProxy } from "../src/docker-proxy.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, workflow } from "../src/instance.ts";
import { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

const GOOD = workflow("Good", "  job:\n    steps:\n      - run: echo good\n");
/** A network and the container that holds it. */
const PLACE = 2;
const LONG = workflow(
  "Long",
  "  job:\n    checkout: false\n    steps:\n      - run: echo begun; sleep 20; echo over\n",
);
/** As many infrastructure faults as make a runner unhealthy. */
const FAULTS_IN_A_ROW = 3;
const MISSING_IMAGE = "127.0.0.1:9/no/such-image:1";
const NO_IMAGE = workflow("No image", `  job:\n    image: ${MISSING_IMAGE}\n    steps:\n      - run: 'true'\n`);

describe("[docker] a Docker Engine that does not do what it should", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "good.yml": GOOD, "long.yml": LONG, "no-image.yml": NO_IMAGE });
  });

  it("that never answers keeps the runner out of the queue, with the fix in its log, and it stops when told", async () => {
    const env = { DOCKER_HOST: `unix://${join(await stage.folder("nothing"), "docker.sock")}` };
    const token = await instance.registrationToken();
    const runner = await Runner.launch(stage, { apiUrl: plane.url, token, sandbox: "docker", name: "dead", env });
    await runner.child.printed(/Docker does not answer: start it/);
    expect((await instance.runners()).map(({ name }) => name)).not.toContain("dead");
    const runId = await instance.fire(project, "Good");
    const run = await instance.waitForRun(runId, ({ jobs }) => jobs[0]?.waiting !== null);
    expect(jobOf(run, "job").waiting?.reason).toBe("no_runner_registered");
    await instance.api.call("POST", `/workflows/runs/${runId}/cancel`);
    expect((await runner.child.stop()).signal).toBeNull();
  });

  it("that has not got the image fails the set-up step with the reason", async () => {
    const runner = await instance.runner({ sandbox: "docker", name: "no-image" });
    const run = await instance.waitForRun(await instance.fire(project, "No image"));
    expect(run.status).toBe("failed");
    const [setup, step] = newestExecution(jobOf(run, "job")).steps;
    expect(setup).toMatchObject({ status: "failed", error: { reason: "image_unavailable", category: "setup" } });
    expect(setup?.error?.message).toContain(MISSING_IMAGE);
    expect(step?.status).toBe("skipped");
    expect(await instance.logText(setup?.id ?? "")).toContain(MISSING_IMAGE);
    expect(jobOf(run, "job").job_executions).toHaveLength(1);
    await runner.child.stop();
    expect(await runner.dockerThings()).toEqual([]);
  });

  it("that dies after the runner registered: the job is handed back with the reason and runs when Docker is back", async () => {
    const proxy = await DockerProxy.start(stage);
    const env = { DOCKER_HOST: proxy.host, SHIPFOX_RUNNER_WARM: "0" };
    const runner = await instance.runner({ sandbox: "docker", name: "loses-docker", env });
    expect((await instance.waitForRun(await instance.fire(project, "Good"))).status).toBe("succeeded");

    await proxy.vanish();
    const runId = await instance.fire(project, "Good");
    const again = await instance.waitForRun(runId, (run) => jobOf(run, "job").job_executions.length > 1);
    const [first] = jobOf(again, "job").job_executions;
    expect(first).toMatchObject({
      status: "failed",
      status_reason: "runner_lost",
      failure_class: "infrastructure",
      failure_cause: "docker_unavailable",
    });
    expect(first?.status_reason_message).toMatch(/engine did not answer.*Docker does not answer/s);
    await runner.child.printed(/the job goes back to the queue/);

    await proxy.revive();
    const run = await instance.waitForRun(runId, undefined, { limitMs: 280_000 });
    expect(run.status).toBe("succeeded");
    // A runner that goes on removes by itself what it could not remove while Docker was away.
    await eventually("only the place made ahead is left", async () => (await runner.dockerThings()).length <= PLACE);
    await runner.child.stop();
    expect(await runner.dockerThings()).toEqual([]);
  });

  // What a restart without live-restore does: all connections break, all containers are dead, then the engine answers again.
  it(`${fault(28, "in the middle of a step")}`, async () => {
    const proxy = await DockerProxy.start(stage);
    const env = { DOCKER_HOST: proxy.host };
    const runner = await instance.runner({ sandbox: "docker", name: "restarted-docker", env });
    const runId = await instance.fire(project, "Long");
    await instance.stepPrinted(runId, "job", "begun");
    const dead = (await runner.dockerThings()).filter((thing) => thing.startsWith("container "));
    await proxy.vanish();
    for (const thing of dead)
      await docker
        .getContainer(thing.replace("container ", ""))
        .kill()
        .catch(() => undefined);
    await proxy.revive();

    const run = await instance.waitForRun(runId, undefined, { limitMs: 280_000 });
    expect(run.status).toBe("succeeded");
    const [first, second] = jobOf(run, "job").job_executions.toSorted((left, right) => left.sequence - right.sequence);
    expect(first).toMatchObject({ status: "failed", status_reason: "runner_lost", failure_class: "infrastructure" });
    expect(second).toMatchObject({ retry_of: first?.id });
    await eventually("no container of before is left", async () => {
      const things = await runner.dockerThings();
      return dead.every((thing) => !things.includes(thing));
    });
    await runner.child.stop();
    expect(await runner.dockerThings()).toEqual([]);
  });

  it(`${fault(29, "every call is given up, the jobs go back, and the runner says so until Docker answers")}`, async () => {
    const proxy = await DockerProxy.start(stage);
    const env = {
      DOCKER_HOST: proxy.host,
      SHIPFOX_RUNNER_WARM: "0",
      SHIPFOX_RUNNER_CONCURRENCY: String(FAULTS_IN_A_ROW),
    };
    const runner = await instance.runner({ sandbox: "docker", name: "hanging-docker", env });
    proxy.hang();
    const runIds = await Promise.all(Array.from({ length: FAULTS_IN_A_ROW }, () => instance.fire(project, "Good")));
    for (const runId of runIds) {
      const again = await instance.waitForRun(runId, (run) => jobOf(run, "job").job_executions.length > 1, {
        limitMs: 120_000,
      });
      const first = jobOf(again, "job").job_executions.find(({ sequence }) => sequence === 1);
      expect(first).toMatchObject({ failure_class: "infrastructure", failure_cause: "docker_unavailable" });
    }
    await eventually("it is unhealthy", async () => (await instance.runnerNamed(runner.name)).state === "unhealthy", {
      limitMs: 120_000,
    });
    await proxy.vanish();
    await proxy.revive();
    for (const runId of runIds)
      expect((await instance.waitForRun(runId, undefined, { limitMs: 280_000 })).status).toBe("succeeded");
    await runner.child.stop();
    expect(await runner.dockerThings()).toEqual([]);
  }, 300_000);
});
