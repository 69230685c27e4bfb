import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane, freePort } from "../src/control-plane.ts";
import { DockerMachines, type Machine } from "../src/docker-machines.ts";
import { eventually } from "../src/eventually.ts";
import { HandProvisioner } from "../src/hand-provisioner.ts";
import { Instance, isOver, jobOf, type ProjectHandle, runStep, workflow } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";

const JOBS = 6;
const AT_ONCE = 2;
/** What a step looks for: the token, wherever a step may read, and the engine. */
const LOOK = [
  'echo "on $(hostname) as $(id -u)"',
  "cat /etc/shipfox/* /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -c '[s]f_[a-z]*_[A-Za-z0-9]' || true",
  "ls -A /etc/shipfox /var/lib/shipfox-runner 2>&1 | grep -v 'Permission denied' || echo closed",
  "ls /var/run/docker.sock /run/docker.sock 2>/dev/null || echo no engine",
];
const TINY = workflow(
  "Tiny",
  `  job:\n    checkout: false\n    steps:\n      - run: |\n${LOOK.map((line) => `          ${line}\n`).join("")}`,
);

describe("[docker] runners in containers, from zero", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;
  let provisioner: HandProvisioner;
  let machines: DockerMachines;
  let runnerApiUrl: string;

  beforeAll(async () => {
    machines = await DockerMachines.create(stage);
    const port = await freePort();
    runnerApiUrl = `http://${machines.gateway}:${port}`;
    // The network is made with the first machine; the control plane waits for its address.
    plane = await ControlPlane.start(stage, { env: { SHIPFOX_ALSO_LISTEN: `${machines.gateway}:${port}` } });
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "tiny.yml": TINY });
    provisioner = await HandProvisioner.create(instance);
    stage.onEnd(() => machines.removeAll(provisioner));
  });

  it("run each job in a container of its own, which ends with it, and steps find no token in it", async () => {
    const runs = await Promise.all(Array.from({ length: JOBS }, () => instance.fire(project, "Tiny")));
    let most = 0;
    const shown: string[] = [];
    await eventually("all runs are over", async () => {
      const there = await machines.list(provisioner);
      const [over, alive] = [there.filter(isStopped), there.filter((machine) => !isStopped(machine))];
      most = Math.max(most, alive.length);
      for (const machine of over) {
        shown.push(await machines.console(machine));
        await machines.delete(machine);
      }
      await startWanted(AT_ONCE - alive.length);
      return (await Promise.all(runs.map((id) => instance.run(id)))).every(isOver);
    });

    const logs = await Promise.all(runs.map(logOf));
    const hosts = logs.map((log) => /on (\S+) as 10001/.exec(log)?.[1]);
    expect(new Set(hosts).size).toBe(JOBS);
    for (const log of logs) expect(log).toMatch(/\non \S+ as 10001\n0\nclosed\nno engine\n$/);
    expect(most).toBeLessThanOrEqual(AT_ONCE);
    expect(shown.join("\n")).not.toContain("sf_ert_");

    await eventually("the last containers end", async () => (await machines.list(provisioner)).every(isStopped));
    await machines.removeAll(provisioner);
    expect(await machines.list(provisioner)).toEqual([]);
  });

  async function startWanted(slots: number): Promise<void> {
    if (slots <= 0) return;
    const { reservations } = await provisioner.demand(["linux"], slots);
    for (const { reservation_id: reservationId, count } of reservations) {
      for (let one = 0; one < count; one++) {
        const planned = await provisioner.plan(reservationId);
        await machines.create(provisioner, planned, {
          SHIPFOX_API_URL: runnerApiUrl,
          SHIPFOX_RUNNER_LABELS: "linux",
          SHIPFOX_RUNNER_REGISTER_LIMIT_MS: "60000",
        });
      }
    }
  }

  async function logOf(runId: string): Promise<string> {
    const run = await instance.run(runId);
    expect(run.status).toBe("succeeded");
    return instance.logText(runStep(jobOf(run, "job")).id);
  }
});

function isStopped({ state }: Machine): boolean {
  return state === "stopped";
}
