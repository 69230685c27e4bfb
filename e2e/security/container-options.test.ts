import { validateDefinitionReplySchema } from "@shipfox/shared/api/definitions";
import { beforeAll, describe, expect, it } from "vitest";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { docker, runnerInstanceId } from "../src/docker.ts";
import { Instance, jobOf, newestExecution, type ProjectHandle, runSteps, workflow } from "../src/instance.ts";
import { printedIn } from "../src/log-stream.ts";
import type { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

const SOCKET = "/var/run/docker.sock";
const STEPS = "    checkout: false\n    steps:\n      - run: 'true'\n";

/** Keys of other systems, and of the engine, that would give a job what it must not have. */
const SOCKET_KEYS = [
  `volumes: ["${SOCKET}:${SOCKET}"]`,
  `mounts: [{ type: bind, source: ${SOCKET}, target: ${SOCKET} }]`,
  `container: { image: alpine, volumes: ["${SOCKET}:${SOCKET}"] }`,
  `binds: ["/:/host"]`,
  "docker: true",
  `image: { name: alpine, volumes: ["/:/host"] }`,
  `services: { db: { image: alpine, volumes: ["${SOCKET}:${SOCKET}"] } }`,
];
const OPTION_KEYS = [
  "privileged: true",
  "options: --privileged --pid=host",
  "cap_add: [SYS_ADMIN]",
  "devices: [/dev/kvm]",
  "security_opt: [seccomp=unconfined]",
  "pid: host",
  "user: root",
  "runtime: runc",
  "network: host",
  "network: container:other",
  "network: { mode: host }",
  "image: { name: alpine, options: --privileged }",
  "image: { name: alpine, user: root }",
  `image: "--privileged"`,
  `image: "-v/:/host"`,
  `image: "alpine --privileged"`,
  `image: "alpine\\n--privileged"`,
  `image: "../../etc/passwd"`,
  `image: "$(touch /tmp/x)"`,
  `image: "http://169.254.169.254/x"`,
  `services: { "--privileged": alpine }`,
  `services: { "../db": alpine }`,
  `services: { "db:0.0.0.0": alpine }`,
  `services: { "db; id": alpine }`,
  `services: { localhost: { image: alpine, privileged: true } }`,
  `services: { db: { image: alpine, network: host } }`,
  `services: { db: { image: "--privileged" } }`,
  `services: { db: { image: alpine, ports: ["0.0.0.0:22:22"] } }`,
  `services: { db: { image: alpine, entrypoint: [sh] } }`,
];

const HOSTILE = workflow(
  "--privileged",
  `  job:
    name: "--pid=host -v /:/host"
    checkout: false
    env: { "_": "--privileged", SHIPFOX_RUNNER_ADD_CAPABILITIES: SYS_ADMIN, DOCKER_HOST: "unix://${SOCKET}" }
    services:
      privileged: { image: shipfox/sandbox:1, command: ["--privileged", "-v", "/:/host"] }
    steps:
      - name: "-u 0:0 --cap-add=ALL"
        run: echo never
`,
);
const RUNNING = workflow(
  "Running --user=0",
  `  job:
    name: "--pid=host -v /:/host"
    checkout: false
    env: { "_": "--privileged", DOCKER_HOST: "unix://${SOCKET}" }
    steps:
      - name: "-u 0:0 --cap-add=ALL"
        run: |
          set +e; echo started; for s in ${SOCKET} /run/docker.sock /run/podman/podman.sock; do ls -d $s 2>/dev/null ; done
          grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; id -u
          mount -t tmpfs none /mnt 2>/dev/null && echo mounted; unshare -Ur true 2>/dev/null && echo unshared
          mknod /tmp/d b 8 0 2>/dev/null && echo device; ls /host 2>/dev/null; cat /proc/1/root/etc/hostname 2>/dev/null
          chroot / true 2>/dev/null && echo chroot; echo looked; sleep 60
`,
);

describe("what a workflow may ask of the engine", () => {
  const stage = useStage();
  let instance: Instance;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
  });

  async function expectRefused(keys: readonly string[]): Promise<void> {
    for (const key of keys) {
      const yaml = workflow("Hostile", `  job:\n    ${key}\n${STEPS}`);
      const reply = await instance.api.post(validateDefinitionReplySchema, "/definitions/validate", { yaml });
      expect([key, reply.valid]).toEqual([key, false]);
    }
  }

  it(`${attack(5, "in every spelling of a mount")}`, async () => {
    await expectRefused(SOCKET_KEYS);
  });

  it(`${attack(6, "keys of the engine, of other systems, and text in image and service names")}`, async () => {
    await expectRefused(OPTION_KEYS);
  });
});

describe("[docker] the container of a hostile job", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;
  let runner: Runner;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
    project = await instance.project({ "hostile.yml": HOSTILE, "running.yml": RUNNING });
    const env = { SHIPFOX_RUNNER_LOCAL_IMAGES: "shipfox/*", SHIPFOX_RUNNER_WARM: "0" };
    runner = await instance.runner({ sandbox: "docker", env });
  });

  it(`${attack(6, "the container as the engine tells it")}; ${attack(5, "from inside")}`, async () => {
    const runId = await instance.fire(project, "Running --user=0");
    const { step } = await instance.stepPrinted(runId, "job", "looked\n");
    const log = printedIn(await instance.logText(step.id));
    expect(log.replaceAll(/:\s+/g, ": ").split("\n")).toEqual([
      "started",
      "CapEff: 0000000000000000",
      "CapBnd: 0000000000000000",
      "NoNewPrivs: 1",
      "Seccomp: 2",
      expect.stringMatching(/^[1-9]\d*$/),
      "looked",
      "",
    ]);
    const label = [`shipfox.runner=${await runnerInstanceId(runner.stateDir)}`];
    const containers = await docker.listContainers({ filters: { label } });
    expect(new Set(containers.map(({ Labels }) => Labels["shipfox.role"]))).toEqual(new Set(["holder", "job"]));
    for (const { Id } of containers) {
      const { HostConfig, Mounts, Config } = await docker.getContainer(Id).inspect();
      expect(HostConfig).toMatchObject({
        Privileged: false,
        CapDrop: ["ALL"],
        PidMode: "",
        UTSMode: "",
        UsernsMode: "",
        IpcMode: "private",
        CgroupnsMode: "private",
        PublishAllPorts: false,
      });
      const { Binds, Devices, VolumesFrom, ExtraHosts, PortBindings, DeviceRequests } = HostConfig;
      for (const list of [Binds, Devices, VolumesFrom, ExtraHosts, DeviceRequests]) expect(list ?? []).toEqual([]);
      expect(Object.keys((PortBindings as object | null) ?? {})).toEqual([]);
      expect(HostConfig.NetworkMode).not.toMatch(/^host$/);
      expect(HostConfig.PidsLimit).toBeGreaterThan(0);
      expect(HostConfig.Memory).toBeGreaterThan(0);
      expect(Mounts.filter(({ Source }) => !Source.startsWith(`${runner.stateDir}/`))).toEqual([]);
      expect(JSON.stringify([Config.Cmd, Config.Entrypoint])).not.toContain("--");
    }
    await instance.api.call("POST", `/workflows/runs/${runId}/cancel`);
    await instance.waitForRun(runId);
  });

  it(`${attack(6, "a service whose command looks like options")}`, async () => {
    const run = await instance.waitForRun(await instance.fire(project, "--privileged"));
    const [setup] = newestExecution(jobOf(run, "job")).steps;
    expect(setup).toMatchObject({ status: "failed", error: { reason: "service_failed" } });
    expect(runSteps(jobOf(run, "job")).map(({ status }) => status)).toEqual(["skipped"]);
  });
});
