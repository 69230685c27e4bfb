import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ControlPlane, freePort } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { Instance, jobOf, workflow } from "../src/instance.ts";
import { MachineProvider } from "../src/machines/machine-provider.ts";
import { Provisioner } from "../src/provisioner.ts";
import { useStage } from "../src/stage.ts";

const TINY = workflow("Tiny", "  job:\n    runner: linux\n    checkout: false\n    steps:\n      - run: echo done\n");

describe("shipfox-provisioner validate", () => {
  const stage = useStage();
  let instance: Instance;
  let provider: MachineProvider;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
  });
  beforeEach(async () => {
    provider = await MachineProvider.start(stage);
  });

  it("proves for each template that its runner gets through, and leaves no machine and no job behind it", async () => {
    const project = await instance.project({ "tiny.yml": TINY });
    const runId = await instance.fire(project, "Tiny");
    const provisioner = await prepare("small", "large");
    const validate = provisioner.command(["validate"]);
    expect(await validate.exited).toMatchObject({ code: 0 });
    expect(validate.output).toContain("2 templates, valid\ncommand: ready\n");
    for (const key of ["small", "large"]) {
      expect(validate.output).toMatch(new RegExp(`${key}: machine m-\\d+ is started\n`));
      expect(validate.output).toMatch(new RegExp(`${key}: its runner registered after \\d+s\n`));
      expect(validate.output).toContain(`${key}: its machine is removed\n`);
    }
    expect(validate.output).not.toMatch(/sf_[a-z]+_/);
    expect([...provider.orders].sort()).toEqual(["large", "small"]);
    expect(provider.machines.size).toBe(0);
    expect((await instancesOf(provisioner)).map(({ state, claimed }) => [state, claimed])).toEqual([
      ["terminated", false],
      ["terminated", false],
    ]);
    expect(jobOf(await instance.run(runId), "job").waiting?.message).toMatch(/\w/);
    provisioner.restart();
    expect((await instance.waitForRun(runId)).status).toBe("succeeded");
  });

  it("says that an address is not reached, with the machine's own words, and removes the machine", async () => {
    const nobody = `http://127.0.0.1:${await freePort()}`;
    const provisioner = await Provisioner.prepare(
      stage,
      instance,
      `provider: ${provider.section}\nrunner_api_url: ${nobody}\ntemplates:\n  far: { labels: [linux], max_concurrency: 1, boot_timeout: 10s }\n`,
    );
    const validate = provisioner.command(["validate", "--template", "far"]);
    expect(await validate.exited).toMatchObject({ code: 1 });
    expect(validate.output).toMatch(
      new RegExp(`far: its (runner did not register|machine ended before its runner registered) at ${nobody}`),
    );
    expect(validate.output).toMatch(/far: the last of its console:\n(?: {2}\| .*\n)*.*ECONNREFUSED/);
    expect(validate.output).not.toMatch(/sf_[a-z]+_/);
    expect(provider.machines.size).toBe(0);
    const [failed] = await instancesOf(provisioner);
    expect(failed).toMatchObject({ state: "failed" });
    const { workspaceId } = instance;
    const seen = await instance.api.client.provisioners.instance({ workspaceId, instanceId: failed?.id ?? "" });
    expect(JSON.stringify(seen)).toContain("ECONNREFUSED");
  });

  it("tells which template is broken and how, and goes on with the others", async () => {
    provider.onCreate = ({ template_key: key }) =>
      key === "refused" ? { exit: "refused", message: "no such image" } : { exit: "ok" };
    provider.bootAs = ({ template_key: key }) => (key === "dies" ? "dies" : "runner");
    const validate = (await prepare("dies", "refused", "well")).command(["validate"]);
    expect(await validate.exited).toMatchObject({ code: 1 });
    expect(validate.output).toContain("dies: its machine ended before its runner registered at http");
    expect(validate.output).toContain("  | panic: no init found\n");
    expect(validate.output).toMatch(/refused: its machine was not made: .*no such image/);
    expect(validate.output).toContain("well: its machine is removed\n");
    expect(provider.machines.size).toBe(0);
  });

  it("finds and removes a machine whose creation was not answered", async () => {
    provider.onCreate = () => ({ exit: "unavailable", isDone: true });
    const validate = (await prepare("small")).command(["validate"]);
    expect(await validate.exited).toMatchObject({ code: 1 });
    expect(provider.history).toHaveLength(1);
    expect(provider.machines.size).toBe(0);
  });

  it("removes its machines at Ctrl-C", async () => {
    provider.bootAs = () => "hangs";
    const validate = (await prepare("small")).command(["validate"]);
    await validate.printed(/waiting for runners: small/);
    validate.signal("SIGINT");
    expect(await validate.exited).toMatchObject({ code: 130 });
    expect(provider.history).toHaveLength(1);
    expect(provider.machines.size).toBe(0);
  });

  it("was killed: the provisioner that starts next removes its machine, and takes it for none of its own", async () => {
    provider.bootAs = () => "hangs";
    const provisioner = await prepare("small");
    const validate = provisioner.command(["validate"]);
    await validate.printed(/waiting for runners: small/);
    await validate.kill9();
    expect(provider.machines.size).toBe(1);
    provisioner.restart();
    await eventually("the machine is gone", async () => provider.machines.size === 0);
    expect(provider.orders).toEqual(["small"]);
  });

  it("starts no machine beside a provisioner that works here or elsewhere, and says so", async () => {
    const provisioner = await prepare("small");
    provisioner.restart();
    await eventually("it works", async () => provider.lists > 0);
    const here = provisioner.command(["validate"]);
    expect(await here.exited).toMatchObject({ code: 78 });
    expect(here.output).toContain("Another provisioner (process ");
    const elsewhere = provisioner.command(["validate", "--state-dir", await stage.folder("other")]);
    expect(await elsewhere.exited).toMatchObject({ code: 1 });
    expect(elsewhere.output).toMatch(/The provisioner on \S+ works with this token: stop it first/);
    expect(await provisioner.command(["validate", "--no-machine"]).exited).toMatchObject({ code: 0 });
    expect(provider.orders).toEqual([]);
  });

  it("asks the control plane about the token without a machine too, and nobody when it is offline", async () => {
    const provisioner = await prepare("small");
    const well = provisioner.command(["validate", "--no-machine"]);
    expect(await well.exited).toMatchObject({ code: 0 });
    expect(well.output).toContain(`${instance.plane.url}: takes the token of `);
    const { workspaceId } = instance;
    await instance.api.client.provisioners.revokeToken({ workspaceId, tokenId: provisioner.tokenId });
    const refused = provisioner.command(["validate", "--no-machine"]);
    expect(await refused.exited).toMatchObject({ code: 78 });
    expect(refused.output).toMatch(/refused the provisioner token: .*SHIPFOX_PROVISIONER_TOKEN_FILE/);
    const nobody = { SHIPFOX_API_URL: `http://127.0.0.1:${await freePort()}` };
    expect(await provisioner.command(["validate", "--no-machine"], nobody).exited).toMatchObject({ code: 1 });
    expect(await provisioner.command(["validate", "--offline"], nobody).exited).toMatchObject({ code: 0 });
    expect(provider.orders).toEqual([]);
  });

  function prepare(...keys: string[]): Promise<Provisioner> {
    const templates = keys.map((key) => `  ${key}: { labels: [linux], max_concurrency: 1 }\n`).join("");
    return Provisioner.prepare(stage, instance, `provider: ${provider.section}\ntemplates:\n${templates}`);
  }

  async function instancesOf({ tokenId }: Provisioner) {
    const { workspaceId } = instance;
    const { runner_instances: all } = await instance.api.client.provisioners.instances({ workspaceId, limit: 100 });
    return all.filter((one) => one.provisioner_id === tokenId);
  }
});
