import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { Child } from "./src/child.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { eventually } from "./src/eventually.ts";
import { Gate } from "./src/gate.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, workflow } from "./src/instance.ts";
import { RUNNER } from "./src/programs.ts";
import { useStage } from "./src/stage.ts";

const ON_GPU = workflow("On gpu", "  job:\n    runner: gpu\n    steps:\n      - run: echo there\n");

describe("a runner whose configuration file is changed", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;
  let gate: Gate;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    gate = await Gate.create(stage);
    const slow = workflow("Slow", `  job:\n    steps:\n      - run: echo begun; ${gate.wait}; echo done\n`);
    project = await instance.project({ "slow.yml": slow, "gpu.yml": ON_GPU });
  });

  it("takes jobs of its new labels at once on SIGHUP, while the job it runs goes on under the same lease", async () => {
    const file = join(await stage.folder("config"), "runner.env");
    const configure = (labels: string, concurrency: number) =>
      writeFile(file, `SHIPFOX_RUNNER_LABELS=${labels}\nSHIPFOX_RUNNER_CONCURRENCY=${concurrency}\n`);
    await configure("linux", 1);
    const token = await instance.registrationToken();
    const stateDir = await stage.folder("runner");
    const env = {
      SHIPFOX_API_URL: instance.plane.url,
      SHIPFOX_RUNNER_CONFIG_FILE: file,
      SHIPFOX_RUNNER_NAME: "reloaded",
      SHIPFOX_RUNNER_SANDBOX: "host",
      SHIPFOX_RUNNER_STATE_DIR: stateDir,
      SHIPFOX_GIT_ALLOW_FILE: "true",
    };
    const runner = stage.addChild(
      new Child("reloaded", RUNNER, [], { ...env, SHIPFOX_RUNNER_REGISTRATION_TOKEN: token }),
    );
    await runner.printed(/runner ready/);
    const slow = await instance.fire(project, "Slow");
    await instance.stepPrinted(slow, "job", "begun");
    const onGpu = await instance.fire(project, "On gpu");
    expect(jobOf(await instance.run(onGpu), "job").waiting?.reason).toBe("labels_unmatched");

    await configure("linux,gpu", 2);
    runner.signal("SIGHUP");
    const there = await instance.waitForRun(onGpu);
    expect(there.status).toBe("succeeded");
    expect(newestExecution(jobOf(there, "job")).runner_name).toBe("reloaded");
    expect((await instance.runnerNamed("reloaded")).labels).toEqual(["gpu", "linux"]);
    await gate.open();
    const done = await instance.waitForRun(slow);
    expect(done.status).toBe("succeeded");
    expect(jobOf(done, "job").job_executions).toHaveLength(1);

    const doctor = stage.addChild(new Child("doctor", RUNNER, ["doctor", "--json"], env));
    await doctor.exited;
    expect(doctor.output).toMatch(/"name": "credential",\s+"state": "ok",\s+"message": "registered as reloaded"/);
    const drain = stage.addChild(new Child("drain", RUNNER, ["drain"], env));
    expect(await drain.exited).toEqual({ code: 0, signal: null });
    expect(await runner.exited).toEqual({ code: 0, signal: null });
    await eventually("the plane sees that it is gone", async () => {
      return (await instance.runnerNamed("reloaded")).state === "offline";
    });
  });
});
