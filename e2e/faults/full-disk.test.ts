import { join } from "node:path";
import { membershipsReplySchema } from "@shipfox/shared/api/workspaces";
import { expect, describe, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { fault } from "../src/fault.ts";
import { Gate } from "../src/gate.ts";
import { Instance, jobOf, newestExecution, runStep, workflow } from "../src/instance.ts";
import { SmallDisk } from "../src/small-disk.ts";
import { useStage } from "../src/stage.ts";

const DISK_BYTES = 48 * 1024 * 1024;
const LINES = 4_000;
const EXPECTED = Array.from({ length: LINES }, (_, index) => `line ${index + 1}`);
/** More than the last pages of a write-ahead log could take. */
const MAX_WRITES = 5_000;

/** Prints its lines as soon as the gate is open. */
const printing = (gate: Gate) =>
  workflow(
    "Printing",
    `  job:
    checkout: false
    steps:
      - run: |
          echo begun
          ${gate.wait}
          for i in $(seq 1 ${LINES}); do echo "line $i"; done
`,
  );

describe.skipIf(process.getuid?.() !== 0)("the disk of the control plane is full", () => {
  const stage = useStage();

  it(`${fault(18, "while a job prints and users write")}`, async () => {
    const disk = await SmallDisk.mount(stage, DISK_BYTES);
    const plane = await ControlPlane.start(stage, { dataDir: join(disk.folder, "data") });
    const instance = await Instance.create(stage, plane);
    const gate = await Gate.create(stage);
    const project = await instance.project({ "printing.yml": printing(gate) });
    await instance.runner();
    const runId = await instance.fire(project, "Printing");
    const { step } = await instance.stepPrinted(runId, "job", "begun");

    await disk.fill();
    const stored: string[] = [];
    const write = (name: string) => instance.api.call("POST", "/workspaces", { body: { name } });
    let refused = await write("w0");
    for (let count = 1; refused.status === 201 && count < MAX_WRITES; count += 1) {
      stored.push(`w${count - 1}`);
      refused = await write(`w${count}`);
    }
    expect(refused).toMatchObject({ status: 507, body: { code: "storage-full" } });
    const names = async () =>
      (await instance.api.get(membershipsReplySchema, "/workspaces")).memberships.map(
        (member) => member.workspace_name,
      );
    const expected = new Set(["Tests", ...stored]);
    expect(new Set(await names())).toEqual(expected);
    const ready = await fetch(`${plane.url}/readyz`);
    expect([ready.status, await ready.json()]).toMatchObject([503, { checks: { database: "ok", disk: "error" } }]);

    // What the job prints now cannot be stored; what the log held is still read.
    await gate.open();
    expect(await instance.logText(step.id)).toContain("begun\n");
    expect((await write("still full")).status).toBe(507);
    expect((await instance.run(runId)).status).toBe("running");

    await disk.free();
    expect((await write("room again")).status).toBe(201);
    const job = jobOf(await instance.waitForRun(runId), "job");
    expect(job.job_executions).toHaveLength(1);
    expect(newestExecution(job)).toMatchObject({ status: "succeeded", status_reason: null });
    expect((await instance.logText(runStep(job).id)).match(/^line \d+$/gm)).toEqual(EXPECTED);

    // Nothing that was refused comes back, and nothing that was acknowledged is gone.
    await plane.kill9();
    await plane.restart();
    expect(new Set(await names())).toEqual(new Set([...expected, "room again"]));
  });
});
