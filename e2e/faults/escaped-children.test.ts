import { randomInt } from "node:crypto";
import { runSchema } from "@shipfox/shared/api/runs";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { Instance, type ProjectHandle, workflow } from "../src/instance.ts";
import { processesBelow, processesWith } from "../src/processes.ts";
import type { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

/** Two forks, a session of its own, no environment, deaf to SIGTERM: nothing ties it to its step any more. */
const escapee = (seconds: string) =>
  `(setsid sh -c "trap '' TERM HUP INT; env -i PATH=$PATH sleep ${seconds} & wait" </dev/null >/dev/null 2>&1 &)`;

describe.each([{ sandbox: "docker" as const }, { sandbox: "host" as const }])(
  "[$sandbox] a process that wants to outlive its job",
  ({ sandbox }) => {
    const stage = useStage();
    /** Names the process among all of the machine. */
    const seconds = `86400.${randomInt(10_000, 100_000)}1`;
    let instance: Instance;
    let project: ProjectHandle;
    let runner: Runner;

    beforeAll(async () => {
      instance = await Instance.create(stage, await ControlPlane.start(stage));
      const job = (name: string, step: string) =>
        workflow(name, `  job:\n    checkout: false\n    steps:\n      - run: |\n${step}\n`);
      const begin = `          ${escapee(seconds)}\n          echo begun`;
      project = await instance.project({
        "ends.yml": job("Ends", `          ${escapee(seconds)}`),
        "fails.yml": job("Fails", `          ${escapee(seconds)}\n          exit 3`),
        "waits.yml": job("Waits", `${begin}\n          sleep 600`),
        "late.yml": job("Late", `${begin}\n          sleep 600\n        timeout: 2s`),
      });
      runner = await instance.runner({ sandbox });
    });

    const isGone = async () => (await processesWith(seconds)).length === 0;

    it.each([
      { name: "Ends", ending: "the end of the job", status: "succeeded" },
      { name: "Fails", ending: "its failure", status: "failed" },
      { name: "Late", ending: "the timeout of its step", status: "failed" },
    ])(`${fault(27, "dead with $ending")}`, async ({ name, status }) => {
      const run = await instance.waitForRun(await instance.fire(project, name));
      expect(run.status).toBe(status);
      await eventually("the process is gone", isGone);
    });

    it(`${fault(27, "dead with the cancel of the job")}`, async () => {
      const runId = await instance.fire(project, "Waits");
      await instance.stepPrinted(runId, "job", "begun");
      await eventually("the process is there", async () => (await processesWith(seconds)).length > 0);
      await instance.api.post(runSchema, `/workflows/runs/${runId}/cancel`);
      await eventually("the process is gone", isGone);
      expect((await instance.run(runId)).status).toBe("cancelled");
    });

    it(`${fault(27, "nothing is left")}`, async () => {
      await runner.child.stop();
      expect(await processesBelow(runner.stateDir)).toEqual([]);
      expect(await runner.dockerThings()).toEqual([]);
    });
  },
);
