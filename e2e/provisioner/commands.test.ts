import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ControlPlane, freePort } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { Instance, type ProjectHandle, workflow } from "../src/instance.ts";
import { MachineProvider } from "../src/machines/machine-provider.ts";
import { Provisioner } from "../src/provisioner.ts";
import { useStage } from "../src/stage.ts";

const job = (name: string, label: string, run: string) =>
  workflow(name, `  job:\n    runner: ${label}\n    checkout: false\n    steps:\n      - run: ${run}\n`);
const WORKFLOWS = {
  "long.yml": job("Long", "long", "echo begun; sleep 600"),
  "plan.yml": job("Plan", "planned", "echo done"),
  "gpu.yml": job("Gpu", "gpu", "echo done"),
};

describe("the commands of shipfox-provisioner", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;
  let provider: MachineProvider;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    project = await instance.project(WORKFLOWS);
  });
  beforeEach(async () => {
    provider = await MachineProvider.start(stage);
  });

  it("plan creates nothing and says for each group of jobs why and why not, with and without a provisioner", async () => {
    const provisioner = await prepare(
      "cheap: { labels: [planned], max_concurrency: 1, cost: 1 }",
      "dear: { labels: [planned], max_concurrency: 5, cost: 2 }",
    );
    for (const name of ["Plan", "Plan", "Gpu"]) await instance.fire(project, name);
    const plan = await run(provisioner, "plan", "--json");
    expect(plan.code).toBe(0);
    expect(JSON.parse(plan.output)).toMatchObject({
      held: null,
      groups: [
        {
          labels: ["planned"],
          queued: 2,
          covered: 0,
          left: 0,
          templates: [
            { template_key: "cheap", create: 1, why: "max_concurrency 1 is reached" },
            { template_key: "dear", create: 1, why: "cheap is cheaper: cost 1, this one cost 2" },
          ],
        },
        {
          labels: ["gpu"],
          queued: 1,
          left: 1,
          why: "no template fits; the nearest one, cheap, lacks gpu",
          templates: [],
        },
      ],
    });
    const table = await run(provisioner, "plan");
    expect(table.output).toMatch(
      /^JOBS FOR +WAIT +COVERED +TEMPLATE +CREATE +WHY\nplanned +2 +0 +2 +2 would be created/,
    );
    expect(provider.orders).toEqual([]);

    provider.onCreate = () => ({ exit: "refused", message: "no such image" });
    provisioner.restart();
    await eventually("both circuits are open", async () => {
      const { templates } = JSON.parse((await run(provisioner, "status", "--json")).output) as Status;
      return templates.every(({ circuit }) => circuit === "open");
    });
    const orders = provider.orders.length;
    expect((await run(provisioner, "plan")).output).toMatch(/its circuit is open until \S+Z: .*no such image/);
    expect(provider.orders.length).toBe(orders);
    const other = await stage.folder("other");
    const elsewhere = await run(provisioner, "plan", "--state-dir", other);
    expect(elsewhere).toMatchObject({ code: 1, output: expect.stringContaining("ask there for its plan") });
  });

  it("status and drain tell how it is, wait no longer than told, and end with the status that they promise", async () => {
    const provisioner = await prepare("small: { labels: [long], max_concurrency: 2 }");
    for (const command of ["status", "drain"])
      expect(await run(provisioner, command)).toMatchObject({
        code: 4,
        output: expect.stringContaining("No provisioner with the state folder"),
      });
    provisioner.restart();
    const runId = await instance.fire(project, "Long");
    await instance.stepPrinted(runId, "job", "begun");
    const busy = await eventually("the machine counts as busy", async () => {
      const status = await run(provisioner, "status");
      return /small +0 +0 +1 +0 +closed/.test(status.output) ? status : null;
    });
    expect(busy).toMatchObject({ code: 0, output: expect.stringMatching(/^health +healthy\n/) });

    expect(await run(provisioner, "drain", "--wait", "0")).toMatchObject({ code: 0 });
    const waited = await run(provisioner, "drain", "--wait", "1", "--json");
    expect(waited.code).toBe(3);
    expect(waited.output).toContain('{"state":"draining","left":1,"busy":1}\n');
    expect(waited.output).toContain("the time is over; the provisioner goes on draining");
    expect((await run(provisioner, "plan")).output).toContain("nothing is created now: the provisioner is draining");

    const interrupted = provisioner.command(["drain"]);
    await interrupted.printed(/draining: 1 instances left, 1 with a job/);
    interrupted.signal("SIGINT");
    expect((await interrupted.exited).code).toBe(130);
    expect(provisioner.child.running).toBe(true);

    const drain = provisioner.command(["drain"]);
    await drain.printed(/draining/);
    await instance.api.call("POST", `/workflows/runs/${runId}/cancel`);
    expect((await drain.exited).code).toBe(0);
    expect(drain.output).toContain("drained: the provisioner has ended");
    expect((await provisioner.child.exited).code).toBe(0);
    expect(provider.machines.size).toBe(0);
  });

  it("takes a changed templates file at once, keeps the former one while it is broken, and says so everywhere", async () => {
    const port = await freePort();
    const get = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return { status: response.status, text: await response.text() };
    };
    const provisioner = await prepare("one: { labels: [one], max_concurrency: 1 }");
    const good = await readFile(provisioner.templatesFile, "utf8");
    provisioner.restart({ SHIPFOX_PROVISIONER_METRICS_PORT: `${port}` });
    await provisioner.child.printed(/serving \/metrics/);
    await eventually("it is ready", async () => (await get("/readyz")).status === 200);
    expect(await get("/healthz")).toEqual({ status: 200, text: "healthy\n" });

    await writeFile(provisioner.templatesFile, good.replace("max_concurrency: 1", "max_concurrency: none"));
    await provisioner.child.printed(/the templates file is refused; the former one stays in use/);
    const broken = await run(provisioner, "status");
    expect(broken.code).toBe(3);
    expect(broken.output).toMatch(/templates +refused: .*templates\.yaml/);
    expect(broken.output).toMatch(/\none +0 +0 +0 +0 +closed/);
    expect((await get("/metrics")).text).toContain("shipfox_provisioner_templates_refused 1\n");
    expect(await get("/healthz")).toMatchObject({
      status: 503,
      text: expect.stringMatching(/^unhealthy: .*max_concurrency/s),
    });

    await writeFile(
      provisioner.templatesFile,
      good.replace("  one:", "  two: { labels: [two], max_concurrency: 1 }\n  one:"),
    );
    provisioner.child.signal("SIGHUP");
    await provisioner.child.printed(/templates reloaded/);
    const reloaded = await run(provisioner, "status");
    expect(reloaded).toMatchObject({ code: 0, output: expect.stringMatching(/\none .*\ntwo /) });
    expect((await get("/metrics")).text).toContain("shipfox_provisioner_templates_refused 0\n");
    await eventually("the provider was asked again", async () => {
      await sleep(100);
      return provider.lists > 2;
    });
    await provisioner.child.stop();
    const lines = provisioner.child.output.trim().split("\n");
    expect(lines.filter((line) => !/^\{.*\}$/.test(line))).toEqual([
      expect.stringMatching(/^shipfox-provisioner for http/),
    ]);
    expect(provisioner.child.output).not.toMatch(/sf_[a-z]+_/);
  });

  it("ends with 78 and a sentence when its token is none, is not known, or cannot be read", async () => {
    const provisioner = await prepare("one: { labels: [one], max_concurrency: 1 }");
    const unknown = await stage.folder("token");
    await writeFile(`${unknown}/token`, `sf_pt_${"x".repeat(43)}\n`, { mode: 0o600 });
    for (const command of ["start", "validate", "plan"]) {
      const args = [command, "--state-dir", await stage.folder("state")];
      const refused = provisioner.command(args, { SHIPFOX_PROVISIONER_TOKEN_FILE: `${unknown}/token` });
      expect((await refused.exited).code).toBe(78);
      expect(refused.output).toContain("the provisioner token is not known here; make a new one");
      const unread = provisioner.command(args, { SHIPFOX_PROVISIONER_TOKEN_FILE: `${unknown}/none` });
      expect((await unread.exited).code).toBe(78);
      expect(unread.output).toContain(`SHIPFOX_PROVISIONER_TOKEN_FILE: there is no file ${unknown}/none`);
    }
    expect(provider.orders).toEqual([]);
  });

  interface Status {
    readonly templates: readonly { readonly circuit: string }[];
  }

  function prepare(...templates: string[]): Promise<Provisioner> {
    const lines = templates.map((line) => `  ${line}\n`).join("");
    return Provisioner.prepare(stage, instance, `provider: ${provider.section}\ntemplates:\n${lines}`);
  }

  async function run(provisioner: Provisioner, ...args: string[]): Promise<{ code: number | null; output: string }> {
    const child = provisioner.command(args);
    const { code } = await child.exited;
    return { code, output: child.output };
  }
});
