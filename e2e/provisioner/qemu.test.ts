import { chmod, copyFile, link, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { demandReplySchema, HOLDER_HEADER, instanceBatchReplySchema } from "@shipfox/shared/provisioner";
import { execa } from "execa";
import { beforeAll, describe, expect, it } from "vitest";
import { call } from "../src/api.ts";
import { Child } from "../src/child.ts";
import { ControlPlane, DEFAULT_TIMES } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { Instance, jobOf, runStep, workflow } from "../src/instance.ts";
import { REPOSITORY_ROOT } from "../src/programs.ts";
import { useStage } from "../src/stage.ts";

/** Emulated, and beside other tests. */
const IMAGE_LIMIT_MS = 280_000;
const JOB_LIMIT_MS = 240_000;
const LIFETIME_MS = 300_000;
const MAKER = `${REPOSITORY_ROOT}/provisioner/src/drivers/qemu/create-machine.fixture.ts`;
const IN_THE_MACHINE = workflow(
  "Machine",
  `  build:
    checkout: false
    steps:
      - run: |
          id -u
          uname -n
          cat /etc/shipfox/registration-token || echo "the token is not mine to read"
          dd if=/dev/disk/by-id/virtio-shipfox-seed of=/dev/null || echo "nor is the disk it came on"
          curl -s -m 5 http://10.0.2.2:$PORT/readyz || echo "the host does not answer me"
`,
);

describe("[qemu] a job in a virtual machine", () => {
  const stage = useStage();
  let image: string;
  let folder: string;

  beforeAll(async () => {
    const { stdout } = await execa(`${REPOSITORY_ROOT}/scripts/vm-image`, {
      timeout: IMAGE_LIMIT_MS,
      stderr: "inherit",
    });
    folder = await stage.folder("qemu");
    // QEMU reads the image as a user who cannot look into every home.
    await chmod(folder, 0o755);
    image = join(folder, "image");
    await mkdir(image);
    for (const name of ["disk.qcow2", "vmlinuz", "initrd"]) {
      await link(join(stdout, name), join(image, name)).catch(() => copyFile(join(stdout, name), join(image, name)));
    }
  }, IMAGE_LIMIT_MS);

  it("boots for it, registers over the user network, runs it as nobody in particular, and is gone", async () => {
    const plane = await ControlPlane.start(stage, { times: DEFAULT_TIMES });
    const instance = await Instance.create(stage, plane);
    const { workspaceId } = instance;
    const { raw_token: token, id: controller } = await instance.api.client.provisioners.createToken({ workspaceId });
    const project = await instance.project({ "machine.yml": IN_THE_MACHINE.replace("$PORT", new URL(plane.url).port) });
    const runId = await instance.fire(project, "Machine");
    const headers = { [HOLDER_HEADER]: "e2e-test-1 here" };
    const ask = async (path: string, body: unknown) =>
      (await call(plane.url, "POST", path, { token, body, headers })).body;
    const template = { template_key: "small", labels: ["linux"], available_slots: 1, starting: 0, running: 0 };
    const demand = demandReplySchema.parse(
      await ask("/provisioners/demand/poll", { max_reservations: 1, templates: [template] }),
    );
    const { runner_instances: made } = instanceBatchReplySchema.parse(
      await ask("/provisioners/runner-instances/batch", {
        runner_instances: [{ template_key: "small", reservation_id: demand.reservations[0]?.reservation_id }],
      }),
    );
    const tags = { controller, pool: "main", instance: made[0]?.runner_instance_id ?? "" };
    const environment = { stateDir: join(folder, "state"), baseDir: image };
    const machine = {
      disk: "disk.qcow2",
      disk_format: "qcow2",
      disk_gib: 3,
      kernel: "vmlinuz",
      initrd: "initrd",
      memory_mib: 1024,
      cpus: 2,
      seed: "disk",
      network: "user",
    };
    const runnerEnv = {
      SHIPFOX_API_URL: plane.url.replace("127.0.0.1", "10.0.2.2"),
      SHIPFOX_RUNNER_LABELS: "linux",
      SHIPFOX_RUNNER_SANDBOX: "host",
    };
    const boot = { registrationToken: made[0]?.registration_token, runnerEnv };
    const request = { name: "shipfox-vm", tags, templateKey: "small", machine, boot, maxLifetimeMs: LIFETIME_MS };
    const maker = new Child("machine", process.execPath, [MAKER, JSON.stringify({ environment, request })], {});
    stage.addChild(maker);
    await maker.printed(/made/);
    const run = await instance.waitForRun(runId, undefined, { limitMs: JOB_LIMIT_MS });
    const log = await instance.logText(runStep(jobOf(run, "build")).id);
    expect({ status: run.status, log }).toMatchObject({ status: "succeeded" });
    expect(log).toContain("10001\nshipfox-vm\n");
    expect(log).toContain("the token is not mine to read");
    expect(log).toContain("nor is the disk it came on");
    expect(log).toContain("the host does not answer me");
    await eventually("the machine is over", async () => maker.output.includes("stopped"));
  });
});
