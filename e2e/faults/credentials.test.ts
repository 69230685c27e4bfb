import { cp } from "node:fs/promises";
import { join } from "node:path";
import { registrationTokensReplySchema } from "@shipfox/shared/api/runners";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { Gate } from "../src/gate.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, workflow } from "../src/instance.ts";
import { processesWith } from "../src/processes.ts";
import { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

const ENDLESS_SECONDS = "87657.5";
/** When it is let go on, it takes longer than two heartbeats. */
const slow = (gate: Gate) =>
  workflow("Slow", `  job:\n    checkout: false\n    steps:\n      - run: echo begun; ${gate.wait}; sleep 3\n`);
/** Sleeps for ever on runners that leave, ends at once on others. */
const UNLESS_ELSEWHERE = workflow(
  "Unless elsewhere",
  `  job:
    checkout: false
    steps:
      - run: |
          echo begun
          case "$SHIPFOX_RUNNER_NAME" in leaves-*) sleep ${ENDLESS_SECONDS} ;; esac
`,
);
const EXIT_CONFIGURATION = 78;

describe("credentials of a runner", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;
  let gate: Gate;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    gate = await Gate.create(stage);
    project = await instance.project({ "slow.yml": slow(gate), "unless.yml": UNLESS_ELSEWHERE });
  });

  async function expectOneExecutionOn(runId: string, runner: Runner): Promise<void> {
    await gate.open();
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    expect(jobOf(run, "job").job_executions).toMatchObject([{ status: "succeeded", runner_name: runner.name }]);
  }

  /** A runner with a copy of another's state folder, as a cloned machine has it. */
  async function cloneOf(original: Runner): Promise<Runner> {
    const stateDir = await stage.folder("clone");
    await cp(join(original.stateDir, "credential.json"), join(stateDir, "credential.json"));
    return Runner.launch(stage, { apiUrl: instance.plane.url, token: "", name: "clone", stateDir });
  }

  it(`${fault(40, "its registration token is revoked: the job goes on, new runners are refused")}`, async () => {
    const token = await instance.registrationToken();
    const runner = await instance.runner({ token, name: "stays" });
    await gate.close();
    const runId = await instance.fire(project, "Slow");
    await instance.stepPrinted(runId, "job", "begun");
    const path = `/workspaces/${instance.workspaceId}/runners/manual-registration-tokens`;
    const { manual_registration_tokens: tokens } = await instance.api.get(registrationTokensReplySchema, path);
    for (const { id } of tokens) expect((await instance.api.call("POST", `${path}/${id}/revoke`)).status).toBe(200);
    await expectOneExecutionOn(runId, runner);
    await expect(instance.runner({ token, name: "refused" })).rejects.toThrow(/ended/);
    await runner.child.stop();
  });

  it(`${fault(40, "the runner is revoked: its job is stopped, fenced and queued again")}`, async () => {
    const runner = await instance.runner({ name: "leaves-revoked" });
    const runId = await instance.fire(project, "Unless elsewhere");
    await instance.stepPrinted(runId, "job", "begun");
    const next = await instance.runner({ name: "stays" });
    const { id } = await instance.runnerNamed(runner.name);
    const revoke = `/workspaces/${instance.workspaceId}/runners/${id}/revoke`;
    expect(await instance.api.call("POST", revoke)).toMatchObject({ status: 200, body: { state: "revoked" } });

    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    const [first, second] = jobOf(run, "job").job_executions;
    expect(first).toMatchObject({ status: "failed", status_reason: "runner_lost" });
    expect(first?.status_reason_message).toMatch(/revoked/);
    expect(second).toMatchObject({ status: "succeeded", runner_name: "stays" });

    await runner.child.exited;
    expect(runner.child.output).toMatch(/revoked/);
    expect(await processesWith(ENDLESS_SECONDS)).toEqual([]);
    await expect(runner.restart()).rejects.toThrow(/ended/);
    expect(runner.child.output).toMatch(/This runner was revoked/);
    await next.child.stop();
  });

  it(`${fault(48, "from before its last start: the copy ends in words, the live runner's job goes on")}`, async () => {
    const runner = await instance.runner({ name: "original" });
    const clone = await cloneOf(runner);
    await clone.kill9();
    await runner.child.stop();
    await runner.restart();
    await gate.close();
    const runId = await instance.fire(project, "Slow");
    await instance.stepPrinted(runId, "job", "begun");
    await expect(clone.restart()).rejects.toThrow(/ended/);
    expect((await clone.child.exited).code).toBe(EXIT_CONFIGURATION);
    expect(clone.child.output).toMatch(/another runner uses a copy of it/);
    await expectOneExecutionOn(runId, runner);
    await runner.child.stop();
  });

  it(`${fault(48, "of now: the copy takes the runner over, the former one is fenced, and its next start ends in words")}`, async () => {
    const runner = await instance.runner({ name: "leaves-cloned" });
    const runId = await instance.fire(project, "Unless elsewhere");
    await instance.stepPrinted(runId, "job", "begun");
    const clone = await cloneOf(runner);
    await clone.ready();
    await runner.child.exited;
    expect(runner.child.output).toMatch(/the control plane ended the session/);
    await eventually("its step is dead", async () => (await processesWith(ENDLESS_SECONDS)).length === 0);
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    expect(jobOf(run, "job").job_executions).toHaveLength(2);
    expect(newestExecution(jobOf(run, "job")).status).toBe("succeeded");
    await expect(runner.restart()).rejects.toThrow(/ended/);
    expect((await runner.child.exited).code).toBe(EXIT_CONFIGURATION);
    expect(runner.child.output).toMatch(/another runner uses a copy of it/);
    await clone.child.stop();
  });
});
