import { chmod, rm } from "node:fs/promises";
import { join } from "node:path";
import { runSchema } from "@shipfox/shared/api/runs";
import { execa } from "execa";
import { beforeEach, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { fault } from "../src/fault.ts";
import { Instance, jobOf, workflow } from "../src/instance.ts";
import { accountOf, sum } from "../src/log-account.ts";
import { outputOf } from "../src/log-stream.ts";
import { Runner } from "../src/runner.ts";
import { type Stage, useStage } from "../src/stage.ts";

const MIB = 1024 * 1024;
/** The free space that a runner demands in these tests, and more than that to leave too little. */
const FLOOR_BYTES = 32 * MIB;
const FILL_BYTES = 40 * MIB;
const NO_FLOOR = { SHIPFOX_RUNNER_DISK_FLOOR_BYTES: "0", SHIPFOX_RUNNER_DISK_FLOOR_INODES: "0" };
const LOW_FLOOR = { SHIPFOX_RUNNER_DISK_FLOOR_BYTES: `${FLOOR_BYTES}`, SHIPFOX_RUNNER_DISK_FLOOR_INODES: "0" };

const QUICK = workflow("Quick", "  job:\n    checkout: false\n    steps:\n      - run: echo quick\n");
const CHATTY = workflow("Chatty", "  job:\n    checkout: false\n    steps:\n      - run: seq 1 1000000; sleep 600\n");

/** A file system of its own, of `size` bytes. */
async function smallDisk(stage: Stage, size: number): Promise<string> {
  const folder = await stage.folder("disk");
  await execa("/bin/mount", ["-t", "tmpfs", "-o", `size=${size},mode=711`, "tmpfs", folder]);
  stage.onEnd(() => execa("/bin/umount", ["--lazy", folder]));
  return folder;
}

describe.skipIf(process.getuid?.() !== 0)("[root] a runner whose disk is full", () => {
  const stage = useStage();
  let instance: Instance;

  beforeEach(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
  });

  it(`${fault(17, "by a job: it is handed back as `disk_full`, its files go, and it runs again on the same machine")}`, async () => {
    const signs = await stage.folder("signs");
    await chmod(signs, 0o777);
    const once = join(signs, "once");
    const project = await instance.project({
      "fill.yml": workflow(
        "Fill",
        `  job:
    checkout: false
    steps:
      - run: |
          if [ -e ${once} ]; then echo there is room again; exit; fi
          touch ${once}
          head -c ${FILL_BYTES} /dev/zero >filling
          sleep 600
`,
      ),
    });
    const stateDir = await smallDisk(stage, 64 * MIB);
    const runner = await instance.runner({ stateDir, env: LOW_FLOOR });
    const run = await instance.waitForRun(await instance.fire(project, "Fill"));
    expect(run.status).toBe("succeeded");
    const [first, second, ...more] = jobOf(run, "job").job_executions.toSorted((a, b) => a.sequence - b.sequence);
    expect(more).toEqual([]);
    expect(first).toMatchObject({
      status: "failed",
      status_reason: "runner_lost",
      failure_class: "infrastructure",
      failure_cause: "disk_full",
    });
    expect(second).toMatchObject({ status: "succeeded", runner_name: runner.name });
    await runner.child.stop();
  });

  it(`${fault(17, "by something else: no job is claimed until there is room")}`, async () => {
    const stateDir = await smallDisk(stage, 64 * MIB);
    const filler = join(stateDir, "filler");
    await execa("/usr/bin/fallocate", ["--length", `${FILL_BYTES}`, filler]);
    const project = await instance.project({ "quick.yml": QUICK });
    const token = await instance.registrationToken();
    const runner = await Runner.launch(stage, { apiUrl: instance.plane.url, stateDir, token, env: LOW_FLOOR });
    await runner.child.printed(/unhealthy: no jobs are claimed/);
    const runId = await instance.fire(project, "Quick");
    const waiting = await instance.waitForRun(runId, (run) => jobOf(run, "job").waiting !== null);
    expect(jobOf(waiting, "job").job_executions.every(({ started_at }) => started_at === null)).toBe(true);
    await rm(filler);
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    expect(jobOf(run, "job").job_executions).toHaveLength(1);
    await runner.child.stop();
  });

  it(`${fault(17, "by the output of a job: it is handed back, what it printed until then is kept")}`, async () => {
    const stateDir = await smallDisk(stage, 3 * MIB);
    const workDir = await stage.folder("work");
    // Without the floor, which would keep the runner from claiming at all.
    const runner = await instance.runner({ stateDir, env: { SHIPFOX_RUNNER_WORK_DIR: workDir, ...NO_FLOOR } });
    const project = await instance.project({ "chatty.yml": CHATTY });
    const runId = await instance.fire(project, "Chatty");
    const run = await instance.waitForRun(runId, ({ jobs }) =>
      jobs.some((job) => job.job_executions.some(({ status }) => status === "failed")),
    );
    const lost = jobOf(run, "job").job_executions.find(({ status }) => status === "failed");
    expect(lost).toMatchObject({ failure_class: "infrastructure", failure_cause: "disk_full" });
    await instance.api.post(runSchema, `/workflows/runs/${runId}/cancel`);
    const step = lost?.steps.find(({ type }) => type === "run");
    const records = await instance.logRecords(step?.id ?? "");
    const text = outputOf(records);
    expect(/(^|\n)1\n2\n/.test(text)).toBe(true);
    expect(text).toContain("no space left on device");
    const { keptBytes, gaps, endBytes } = accountOf(records);
    expect(keptBytes + sum(gaps)).toBe(endBytes);
    await runner.child.stop();
  });
});
