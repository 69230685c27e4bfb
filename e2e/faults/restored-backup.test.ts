import { copyFile, mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Child } from "../src/child.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { faultsOfDatabase } from "../src/database.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { HandRunner } from "../src/hand-runner.ts";
import { Instance, jobOf, runStep, workflow } from "../src/instance.ts";
import { processesWith } from "../src/processes.ts";
import { CONTROL_PLANE } from "../src/programs.ts";
import { useStage } from "../src/stage.ts";

const ENDLESS_SECONDS = "87656.5";
const ENDLESS = workflow("Endless", `  job:\n    checkout: false\n    steps:\n      - run: sleep ${ENDLESS_SECONDS}\n`);
const PRINTS = workflow("Prints", "  job:\n    checkout: false\n    steps:\n      - run: echo what is kept\n");
const by = (runner: string, name: string) =>
  workflow(name, `  job:\n    runner: ${runner}\n    checkout: false\n    steps:\n      - run: 'true'\n`);

describe("a backup is restored", () => {
  const stage = useStage();

  async function command(plane: ControlPlane, ...words: string[]): Promise<string> {
    const child = stage.addChild(new Child("command", CONTROL_PLANE, words, { SHIPFOX_DATA_DIR: plane.dataDir }));
    const { code } = await child.exited;
    if (code !== 0) throw new Error(`${words.join(" ")} ended with ${code}: ${child.output}`);
    return child.output;
  }

  it(`${fault(21, "taken under load from the running control plane, before the jobs that run now")}`, async () => {
    const plane = await ControlPlane.start(stage);
    const instance = await Instance.create(stage, plane);
    const project = await instance.project({
      "endless.yml": ENDLESS,
      "prints.yml": PRINTS,
      "hand.yml": by("hand", "By hand"),
      "load.yml": by("nobody", "Load"),
    });
    const player = await HandRunner.register(plane.url, await instance.registrationToken(), ["hand"]);
    const runner = await instance.runner();
    const printed = runStep(jobOf(await instance.waitForRun(await instance.fire(project, "Prints")), "job")).id;
    // In the backup: one job that runs and one that waits.
    const running = await instance.fire(project, "By hand");
    const claimed = await player.claim();
    const waiting = await instance.fire(project, "By hand");
    const started: string[] = [await instance.fire(project, "Load")];
    let isOver = false;
    const load = (async () => {
      while (!isOver) {
        started.push(await instance.fire(project, "Load"));
        await player.heartbeat(claimed);
      }
    })();
    await eventually("the load is on", async () => started.length > 3);
    const before = [...started];
    const backup = join(await stage.folder("backup"), "monday");
    await command(plane, "backup", backup);
    expect(await command(plane, "verify", backup)).toContain("is whole and can be restored");
    expect(started.length).toBeGreaterThan(before.length);
    isOver = true;
    await load;

    // Later: both end, and others begin.
    await player.finish(claimed);
    await player.finish(await player.claim());
    const later = await instance.fire(project, "Endless");
    await eventually("the later job runs", async () => (await processesWith(ENDLESS_SECONDS)).length > 0);
    await instance.fire(project, "By hand");
    const laterClaim = await player.claim();
    await plane.kill9();
    const lost = join(await stage.folder("lost"), "data");
    await rename(plane.dataDir, lost);
    await mkdir(plane.dataDir, { mode: 0o700 });
    await copyFile(join(lost, "root.key"), join(plane.dataDir, "root.key"));
    await command(plane, "restore", backup);
    expect(await faultsOfDatabase(plane.dataDir)).toEqual([]);
    await plane.restart();

    // What was acknowledged before the backup is there, with its logs.
    for (const run of before) expect((await instance.run(run)).status).toBe("pending");
    expect(await instance.logText(printed)).toContain("what is kept");
    // What the backup knows of goes on; what it does not know of is stopped.
    await eventually("the later job is stopped", async () => (await processesWith(ENDLESS_SECONDS)).length === 0);
    expect(await instance.api.refused("GET", `/workflows/runs/${later}`)).toMatchObject({ status: 404 });
    expect(await player.heartbeat(laterClaim)).toMatchObject({
      status: 404,
      body: { code: "running-job-execution-not-found" },
    });
    // The next lease may have the number of a lost one: it is not mistaken for it.
    const next = await player.claim();
    expect(next.job_execution_id).not.toBe(laterClaim.job_execution_id);
    expect((await player.heartbeat(laterClaim)).status).toBe(404);
    await expect(player.next(laterClaim.lease_token)).rejects.toThrow(/lease-not-active/);
    expect((await player.heartbeat(next)).status).toBe(200);
    await player.finish(next);
    expect((await instance.waitForRun(waiting)).status).toBe("succeeded");
    // Its lease is live in the backup, but nobody works on it any more.
    const again = await player.claim();
    await player.finish(again);
    const run = await instance.waitForRun(running);
    expect(run.status).toBe("succeeded");
    const executions = jobOf(run, "job").job_executions;
    expect(executions.map(({ status, status_reason }) => [status, status_reason])).toEqual([
      ["failed", "runner_lost"],
      ["succeeded", null],
    ]);
    // The real runner works on without help.
    const fresh = await instance.fire(project, "Endless");
    await eventually("the runner has a job again", async () => (await processesWith(ENDLESS_SECONDS)).length > 0);
    await instance.api.call("POST", `/workflows/runs/${fresh}/cancel`);
    await eventually("it is over", async () => (await processesWith(ENDLESS_SECONDS)).length === 0);
    await runner.child.stop();
  });
});
