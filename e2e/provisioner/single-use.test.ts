import { access, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { HandProvisioner } from "../src/hand-provisioner.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, workflow } from "../src/instance.ts";
import { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

const QUICK = workflow("Quick", "  job:\n    checkout: false\n    steps:\n      - run: echo done\n");
const LONG = workflow("Long", "  job:\n    checkout: false\n    steps:\n      - run: echo begun; sleep 600\n");
const NOT_REGISTERED = 75;
const REFUSED = 78;

describe("a runner that a provisioner started", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;
  let provisioner: HandProvisioner;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "quick.yml": QUICK, "long.yml": LONG });
    provisioner = await HandProvisioner.create(instance);
  });

  it("takes one job, removes its token before that, keeps no credential, and ends with 0", async () => {
    const [first, second] = [await instance.fire(project, "Quick"), await instance.fire(project, "Quick")];
    const { runner, tokenFile } = await launch({ demand: true });
    expect(await runner.child.exited).toEqual({ code: 0, signal: null });
    const run = await instance.waitForRun(first);
    expect(run.status).toBe("succeeded");
    expect((await instance.run(second)).status).toBe("pending");
    await expect(access(tokenFile)).rejects.toThrow("ENOENT");
    expect(await readdir(runner.stateDir)).not.toContain("credential.json");
    await instance.api.call("POST", `/workflows/runs/${second}/cancel`);
  });

  it("is refused with its own status when it brings the token a second time", async () => {
    const planned = await provisioner.plan();
    const before = await start(planned.registration_token, {});
    await before.runner.ready();
    const again = await start(planned.registration_token, {});
    expect((await again.runner.child.exited).code).toBe(REFUSED);
    expect(again.runner.child.output).toContain("good for one machine and one job");
    await before.runner.child.stop();
  });

  it("goes on with its session when it is killed and started again before its job", async () => {
    const { runner } = await launch({});
    await runner.ready();
    await runner.kill9();
    await runner.restart();
    const runId = await instance.fire(project, "Quick");
    expect((await instance.waitForRun(runId)).status).toBe("succeeded");
    expect((await runner.child.exited).code).toBe(0);
  });

  it("ends when nobody has a job for it, and hands its job back at the end of its life", async () => {
    const idle = await launch({ env: { SHIPFOX_RUNNER_IDLE_LIMIT_MS: "1000" } });
    expect(await idle.runner.child.exited).toEqual({ code: 0, signal: null });
    expect(idle.runner.child.output).toContain("no job for 1 s");

    const runId = await instance.fire(project, "Long");
    const old = await launch({ env: { SHIPFOX_RUNNER_MAX_LIFETIME_MS: "6000" }, demand: true });
    await instance.stepPrinted(runId, "job", "begun");
    await old.runner.child.exited;
    const run = await instance.waitForRun(runId, ({ jobs }) => jobs[0]?.job_executions.length === 2);
    const [lost] = jobOf(run, "job").job_executions;
    expect(lost).toMatchObject({ status: "failed", failure_class: "infrastructure" });
    expect(newestExecution(jobOf(run, "job")).status).toBe("pending");
    await instance.api.call("POST", `/workflows/runs/${runId}/cancel`);
  });

  it("ends with 75 when it cannot register in time", async () => {
    const { runner } = await start(
      "sf_ert_".padEnd(50, "a"),
      { SHIPFOX_RUNNER_REGISTER_LIMIT_MS: "1500" },
      "http://127.0.0.1:9",
    );
    expect((await runner.child.exited).code).toBe(NOT_REGISTERED);
  });

  async function launch({ env = {}, demand = false }: { env?: Record<string, string>; demand?: boolean }) {
    const reservation = demand
      ? await eventually(
          "the provisioner is asked for a runner",
          async () => (await provisioner.demand()).reservations[0],
        )
      : undefined;
    const planned = await provisioner.plan(reservation?.reservation_id);
    return await start(planned.registration_token, env);
  }

  async function start(token: string, env: Record<string, string>, apiUrl = plane.url) {
    const tokenFile = join(await stage.folder("token"), "token");
    await writeFile(tokenFile, token, { mode: 0o600 });
    const further = { SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE: tokenFile, ...env };
    return { tokenFile, runner: await Runner.launch(stage, { apiUrl, token: "", env: further }) };
  }
});
