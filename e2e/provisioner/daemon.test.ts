import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { Child } from "../src/child.ts";
import { ControlPlane, freePort } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { Instance, isOver, jobOf, type ProjectHandle, runStep, workflow } from "../src/instance.ts";
import { PROVISIONER, REPOSITORY_ROOT } from "../src/programs.ts";
import { useStage } from "../src/stage.ts";

const JOBS = 20;
const AT_ONCE = 5;
const TINY = workflow("Tiny", "  job:\n    checkout: false\n    steps:\n      - run: hostname\n");

describe("[docker] the provisioner, from zero", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;
  let folder: string;
  let env: Record<string, string>;
  let tokenId: string;

  const launch = (...args: string[]) => stage.addChild(new Child("provisioner", PROVISIONER, args, env));
  const containers = async () =>
    (await execa("docker", ["ps", "-aq", "--filter", `network=${network}`])).stdout
      .split("\n")
      .filter((line) => line !== "");
  const network = `shipfox-e2e-${randomBytes(4).toString("hex")}`;

  beforeAll(async () => {
    const third = randomBytes(1)[0];
    const gateway = `10.217.${third}.1`;
    const port = await freePort();
    folder = await stage.folder("provisioner");
    stage.onEnd(async () => {
      for (const id of await containers()) await execa("docker", ["rm", "-f", id]);
      await execa("docker", ["network", "rm", network]);
    });
    const { stdout } = await execa(`${REPOSITORY_ROOT}/scripts/runner-image`);
    const plane = await ControlPlane.start(stage, { env: { SHIPFOX_ALSO_LISTEN: `${gateway}:${port}` } });
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "tiny.yml": TINY });
    const token = await instance.api.client.provisioners.createToken({ workspaceId: instance.workspaceId });
    tokenId = token.id;
    await writeFile(join(folder, "token"), token.raw_token, { mode: 0o600 });
    await writeFile(
      join(folder, "templates.yml"),
      `pool: e2e
provider: { kind: docker, network: ${network}, subnet: 10.217.${third}.0/24 }
runner_api_url: http://${gateway}:${port}
templates:
  small:
    labels: [linux]
    max_concurrency: ${AT_ONCE}
    machine: { image: "${stdout.trim()}", cpus: 1, memory_mib: 512, pids: 256 }
`,
    );
    env = {
      SHIPFOX_API_URL: plane.url,
      SHIPFOX_PROVISIONER_TOKEN_FILE: join(folder, "token"),
      SHIPFOX_PROVISIONER_TEMPLATES_FILE: join(folder, "templates.yml"),
      SHIPFOX_PROVISIONER_STATE_DIR: join(folder, "state"),
      SHIPFOX_PROVISIONER_CONVERGE_MS: "1000",
    };
  });

  it("has proven by a container that is gone again that its runners reach the control plane over their own network", async () => {
    const validate = launch("validate");
    expect(await validate.exited).toMatchObject({ code: 0 });
    expect(validate.output).toMatch(/small: its runner registered after \d+s\n/);
    expect(await containers()).toEqual([]);
  });

  it("runs every job on a machine of its own, at most as many at once as allowed, also when it is killed meanwhile", async () => {
    const first = launch();
    const runs = await Promise.all(Array.from({ length: JOBS }, () => instance.fire(project, "Tiny")));
    let most = 0;
    await eventually("a machine runs", async () => (await containers()).length > 0);
    await first.kill9();
    launch();
    await eventually("all runs are over", async () => {
      most = Math.max(most, (await containers()).length);
      return (await Promise.all(runs.map((id) => instance.run(id)))).every(isOver);
    });
    const machines = new Set<string>();
    for (const id of runs) {
      const run = await instance.run(id);
      expect(run.status).toBe("succeeded");
      machines.add((await instance.logText(runStep(jobOf(run, "job")).id)).trim());
    }
    expect(machines.size).toBe(JOBS);
    expect(most).toBeLessThanOrEqual(AT_ONCE);
    await eventually("all machines are gone", async () => (await containers()).length === 0);
  });

  it("ends with 78 when its token is revoked", async () => {
    env = { ...env, SHIPFOX_PROVISIONER_STATE_DIR: join(folder, "other-state") };
    const watcher = launch();
    await eventually("the second daemon only watches", async () => watcher.output.includes("another daemon works"));
    await instance.api.call("POST", `/workspaces/${instance.workspaceId}/provisioners/tokens/${tokenId}/revoke`);
    expect((await watcher.exited).code).toBe(78);
  });
});
