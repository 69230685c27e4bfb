import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { Instance, isOver, jobOf, newestExecution, type ProjectHandle, workflow } from "../src/instance.ts";
import { MachineProvider } from "../src/machines/machine-provider.ts";
import { Provisioner } from "../src/provisioner.ts";
import { useStage } from "../src/stage.ts";

const LABELS = ["lost-answer", "no-boot", "lists", "killed", "two", "alone", "race", "broken"];
const job = (label: string, run: string) =>
  workflow(label, `  job:\n    runner: ${label}\n    checkout: false\n    steps:\n      - run: ${run}\n`);

describe("a provisioner whose provider fails", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    const quick = LABELS.map((label) => [`${label}.yml`, job(label, "echo done")]);
    const long = [["long.yml", job("lists", "echo begun; sleep 8").replace("name: lists", "name: long")]];
    project = await instance.project(Object.fromEntries([...quick, ...long]));
  });

  it(`${fault(31, "the machine is found in the next list and does the job; there is no second one")}`, async () => {
    const provider = await MachineProvider.start(stage);
    provider.onCreate = () => ({ exit: "unavailable", isDone: true });
    await launch(provider, "lost-answer");
    expect((await succeeded("lost-answer")).status).toBe("succeeded");
    expect(provider.orders).toHaveLength(1);
    await allGone(provider);
  });

  it(`${fault(32, "it is removed at the deadline with its console kept, and the job runs on another one")}`, async () => {
    const provider = await MachineProvider.start(stage);
    provider.bootAs = () => (provider.history.length === 1 ? "hangs" : "runner");
    const { tokenId } = await launch(provider, "no-boot", "boot_timeout: 10s");
    expect((await succeeded("no-boot")).status).toBe("succeeded");
    expect(provider.orders).toHaveLength(2);
    const [failed] = (await instancesOf(tokenId)).filter(({ state }) => state === "failed");
    const { workspaceId } = instance;
    const seen = await instance.api.client.provisioners.instance({ workspaceId, instanceId: failed?.id ?? "" });
    expect(JSON.stringify(seen)).toContain("the network did not come up");
    await allGone(provider);
  });

  it(`${fault(33, "the busy machine is left alone and its job ends well")}`, async () => {
    const provider = await MachineProvider.start(stage);
    const provisioner = await launch(provider, "lists");
    const runId = await instance.fire(project, "long");
    await instance.stepPrinted(runId, "job", "begun");
    const empty = { exit: "ok", hides: () => true } as const;
    for (const verdict of [{ exit: "unavailable" }, { exit: "throttled" }, empty] as const) {
      provider.onList = () => verdict;
      const before = provider.lists;
      await eventually(
        `the list was asked for and answered with ${verdict.exit}`,
        async () => provider.lists >= before + 2,
      );
    }
    expect(provider.machines.size).toBe(1);
    provider.onList = () => ({ exit: "ok" });
    expect((await instance.waitForRun(runId)).status).toBe("succeeded");
    expect(provisioner.child.running).toBe(true);
    expect(jobOf(await instance.run(runId), "job").job_executions).toHaveLength(1);
    await allGone(provider);
  });

  it(`${fault(34, "the next process adopts the machine; there is no second one")}`, async () => {
    const provider = await MachineProvider.start(stage);
    let killed: Promise<void> | undefined;
    provider.onCreate = () => {
      killed ??= provisioner.kill9();
      return { exit: "ok" };
    };
    const provisioner = await launch(provider, "killed");
    const runId = await instance.fire(project, "killed");
    await eventually("the provisioner was killed while it made a machine", async () => killed !== undefined);
    await killed;
    provisioner.restart();
    expect((await instance.waitForRun(runId)).status).toBe("succeeded");
    expect(provider.orders).toHaveLength(1);
    await allGone(provider);
  });

  it(`${fault(35, "the second only watches, says so, and takes over when the first one ends")}`, async () => {
    const provider = await MachineProvider.start(stage);
    const provisioner = await launch(provider, "two");
    await eventually("the first one works", async () => provider.lists > 0);
    const second = await provisioner.second();
    await second.printed(/another daemon works with this token/);
    expect((await succeeded("two")).status).toBe("succeeded");
    expect(provider.orders).toHaveLength(1);
    await provisioner.child.stop();
    expect((await succeeded("two")).status).toBe("succeeded");
    expect(provider.orders).toHaveLength(2);
    await allGone(provider);
  });

  it(`${fault(36, "a machine that nobody needs ends by itself; the job waits with the reason")}`, async () => {
    const provider = await MachineProvider.start(stage);
    const provisioner = await launch(provider, "alone", "idle_timeout: 10s");
    const unneeded = await instance.fire(project, "alone");
    await eventually("a machine is there", async () => provider.machines.size === 1);
    await provisioner.kill9();
    await instance.api.call("POST", `/workflows/runs/${unneeded}/cancel`);
    await eventually("the machine has ended", async () =>
      [...provider.machines.values()].every((one) => !one.isRunning),
    );
    const waits = await instance.fire(project, "alone");
    const run = await instance.waitForRun(waits, ({ jobs }) => jobs[0]?.waiting !== null);
    expect(jobOf(run, "job").waiting?.message).toMatch(/\w/);
    provisioner.restart();
    expect((await instance.waitForRun(waits)).status).toBe("succeeded");
    await allGone(provider);
  });

  it(`${fault(38, "each machine gets a job or is removed, never both")}`, async () => {
    const provider = await MachineProvider.start(stage);
    const { tokenId } = await launch(provider, "race", "idle: 2");
    const { workspaceId } = instance;
    for (let round = 0; round < 4; round += 1) {
      const idle = await eventually("a runner is idle", async () =>
        (await instancesOf(tokenId)).find(
          ({ state, registered_at: at, claimed }) => state === "running" && at !== null && !claimed,
        ),
      );
      const drain = instance.api.client.provisioners
        .drainInstance({ workspaceId, instanceId: idle.id })
        .catch(() => undefined);
      const [runId] = await Promise.all([instance.fire(project, "race"), drain]);
      expect((await instance.waitForRun(runId)).status).toBe("succeeded");
      expect(jobOf(await instance.run(runId), "job").job_executions).toHaveLength(1);
    }
    expect(provider.history.filter(({ wasBusyWhenDeleted }) => wasBusyWhenDeleted)).toEqual([]);
  });

  it(`${fault(39, "it is paused after a few, others do its jobs, and it comes back by a probe")}`, async () => {
    const provider = await MachineProvider.start(stage);
    provider.bootAs = ({ template_key: key }) => (key === "bad" ? "dies" : "runner");
    const body = "labels: [broken], max_concurrency: 1, idle_timeout: 10s";
    const templates = `bad: { ${body}, preference: 1 }\n  good: { ${body}, preference: 2 }`;
    await Provisioner.launch(stage, instance, `provider: ${provider.section}\ntemplates:\n  ${templates}\n`);
    const run = await succeeded("broken");
    expect(newestExecution(jobOf(run, "job")).status).toBe("succeeded");
    expect(provider.orders.filter((key) => key === "good")).toHaveLength(1);
    expect(provider.orders.filter((key) => key === "bad").length).toBeLessThanOrEqual(4);
    provider.bootAs = () => "runner";
    await eventually("the template is used again", async () => {
      await succeeded("broken");
      return provider.history.at(-1)?.order.template_key === "bad";
    });
    await allGone(provider);
  });

  /** One template of the label's name. */
  function launch(provider: MachineProvider, label: string, more = ""): Promise<Provisioner> {
    const template = `  ${label}: { labels: [${label}], max_concurrency: 2${more && `, ${more}`} }`;
    return Provisioner.launch(stage, instance, `provider: ${provider.section}\ntemplates:\n${template}\n`);
  }

  async function succeeded(label: string) {
    const runId = await instance.fire(project, label);
    return await instance.waitForRun(runId, isOver);
  }

  async function instancesOf(provisionerId: string) {
    const { workspaceId } = instance;
    const { runner_instances: all } = await instance.api.client.provisioners.instances({ workspaceId, limit: 100 });
    return all.filter((one) => one.provisioner_id === provisionerId);
  }

  async function allGone(provider: MachineProvider): Promise<void> {
    await eventually("every machine is gone", async () => provider.machines.size === 0);
  }
});
