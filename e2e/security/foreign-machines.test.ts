import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { Gate } from "../src/gate.ts";
import { Instance, jobOf, workflow } from "../src/instance.ts";
import { MachineProvider } from "../src/machines/machine-provider.ts";
import { Provisioner } from "../src/provisioner.ts";
import { useStage } from "../src/stage.ts";

const stage = useStage();

it(`${attack(26, "two provisioners, machines without tags, with copied and with invented ones")}`, async () => {
  const gate = await Gate.create(stage);
  const job = (label: string) =>
    `  job:\n    runner: ${label}\n    checkout: false\n    steps:\n      - run: echo begun; ${gate.wait}\n`;
  const instance = await Instance.create(stage, await ControlPlane.start(stage));
  const project = await instance.project({ "a.yml": workflow("a", job("a")), "b.yml": workflow("b", job("b")) });
  const provider = await MachineProvider.start(stage);
  // One account of a provider for both, and the same name of the pool.
  const provisioners = await Promise.all(
    ["a", "b"].map((label) =>
      Provisioner.launch(
        stage,
        instance,
        `provider: ${provider.section}\ntemplates:\n  small: { labels: [${label}], max_concurrency: 1, idle_timeout: 10s }\n`,
      ),
    ),
  );
  const runs = await Promise.all(["a", "b"].map((name) => instance.fire(project, name)));
  for (const id of runs) await instance.stepPrinted(id, "job", "begun");

  const [ours] = [...provider.machines.values()].map(({ order: { tags } }) => tags);
  if (!ours) throw new Error("no machine was made");
  provider.strangers
    .set("without-tags", {})
    .set("of-another-controller", { ...ours, controller: randomUUID() })
    .set("of-another-pool", { ...ours, pool: `${ours.pool}-2` })
    .set("invented", { ...ours, instance: randomUUID() })
    .set("copied", ours);
  const owner = provisioners.find(({ tokenId }) => tokenId === ours.controller);
  await owner?.child.printed(/"machines":\["invented","copied"\].*machines that are not in our records are left alone/);
  await gate.open();
  for (const id of runs) {
    const run = await instance.waitForRun(id);
    expect([run.status, jobOf(run, "job").job_executions.length]).toEqual(["succeeded", 1]);
  }
  await eventually("the machines of both are gone", async () => provider.machines.size === 0);
  const before = provider.lists;
  await eventually("both have looked again", async () => provider.lists >= before + 6);
  expect(provider.deletions.toSorted()).toEqual(provider.history.map(({ providerId }) => providerId).toSorted());
  expect(provider.history.filter(({ wasBusyWhenDeleted }) => wasBusyWhenDeleted)).toEqual([]);
});
