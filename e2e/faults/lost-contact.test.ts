import { access, chmod, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { JobExecution, RunDetail } from "@shipfox/shared/api/runs";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { docker } from "../src/docker.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { Instance, jobOf, type ProjectHandle, runStep, workflow } from "../src/instance.ts";
import { processesWith } from "../src/processes.ts";
import type { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";
import { TcpProxy } from "../src/tcp-proxy.ts";

/** A job without an answer is looked at after 8.4 s; 3.6 s are left for a busy machine to make it stand still and go on. */
const TIMES = {
  SHIPFOX_LEASE_TERM_MS: "12000",
  SHIPFOX_HEARTBEAT_INTERVAL_MS: "1000",
  SHIPFOX_RETRY_AVOID_MS: "1000",
  SHIPFOX_LOG_TAIL_MS: "2000",
};
const STANDSTILL_MS = "3000";
/** At 10 ms each and more they take longer than a job goes on without an answer. */
const LINES = 1_200;
const COUNTING = workflow(
  "Counting",
  `  job:
    steps:
      - run: for i in $(seq 1 ${LINES}); do echo "line $i"; sleep 0.01; done
`,
);
/** Names the job's process among all of the machine. */
const SECONDS = `27${process.pid}`;
/** Runs for ever on the first runner, past SIGTERM; ends at once on any other. */
const STUCK = workflow(
  "Stuck",
  `  job:
    steps:
      - run: |
          trap '' TERM
          echo begun
          if [ "$SHIPFOX_RUNNER_NAME" = first ]; then sleep ${SECONDS}; fi
          echo "done on $SHIPFOX_RUNNER_NAME"
`,
);

describe.each([{ sandbox: "docker" as const }, { sandbox: "host" as const }])(
  "[$sandbox] a job whose runner and control plane lose contact",
  ({ sandbox }) => {
    const stage = useStage();
    const runners: Runner[] = [];
    let plane: ControlPlane;
    let instance: Instance;
    let project: ProjectHandle;

    beforeAll(async () => {
      plane = await ControlPlane.start(stage, { times: TIMES });
      instance = await Instance.create(stage, plane);
      project = await instance.project({ "counting.yml": COUNTING, "stuck.yml": STUCK });
    });

    afterEach(async () => {
      await Promise.all(runners.splice(0).map((runner) => runner.child.stop()));
    });

    /** A runner that reaches the control plane through `url`. */
    async function start(name: string, url: string = plane.url): Promise<Runner> {
      const env = { SHIPFOX_RUNNER_STANDSTILL_LIMIT_MS: STANDSTILL_MS, SHIPFOX_API_URL: url };
      const runner = await instance.runner({ sandbox, name, env });
      runners.push(runner);
      return runner;
    }

    async function startStuck(runner: Runner): Promise<string> {
      const runId = await instance.fire(project, "Stuck");
      await instance.stepPrinted(runId, "job", "begun");
      await eventually("the job runs", async () => (await processesWith(SECONDS)).length === 1);
      expect(runner.child.running).toBe(true);
      return runId;
    }

    async function expectDead(): Promise<void> {
      await eventually("nothing of the job runs", async () => (await processesWith(SECONDS)).length === 0);
    }

    async function expectSecondExecution(runId: string): Promise<JobExecution | undefined> {
      const run = await instance.waitForRun(runId);
      expect(run.status).toBe("succeeded");
      const [first, second, ...more] = executionsOf(run);
      expect(more).toEqual([]);
      expect(first).toMatchObject({ runner_name: "first", status: "failed", status_reason: "runner_lost" });
      expect(second).toMatchObject({ runner_name: "second", status: "succeeded", retry_of: first?.id });
      const step = second?.steps.find(({ type }) => type === "run");
      expect(await instance.logText(step?.id ?? "")).toContain("done on second\n");
      return first;
    }

    it(`${fault(9, "heard again in time, the job goes on, every line once")}`, async () => {
      const proxy = await TcpProxy.start(stage, plane.url);
      const runner = await start("first", proxy.url);
      const runId = await instance.fire(project, "Counting");
      await instance.stepPrinted(runId, "job", "line 20\n");
      await proxy.set({ kind: "black-hole" });
      await runner.child.printed(/"job paused"/);
      expect(await standsStill(runner)).toBe(true);
      await proxy.set({ kind: "pass" });
      await runner.child.printed(/job resumed/);
      const run = await instance.waitForRun(runId);
      expect(run.status).toBe("succeeded");
      expect(executionsOf(run)).toHaveLength(1);
      const lines = (await instance.logText(runStep(jobOf(run, "job")).id)).match(/^line \d+$/gm);
      expect(lines).toEqual(Array.from({ length: LINES }, (_, index) => `line ${index + 1}`));
    });

    it(`${fault(9, "another runner takes the job, the first one is killed when it is heard again")}`, async () => {
      const proxy = await TcpProxy.start(stage, plane.url);
      const first = await start("first", proxy.url);
      const runId = await startStuck(first);
      await proxy.set({ kind: "black-hole" });
      await first.child.printed(/"job paused"/);
      await start("second");
      await expectSecondExecution(runId);
      expect(first.child.running).toBe(true);

      await proxy.set({ kind: "pass" });
      await first.child.printed(/the control plane ended the lease \((superseded|expired)\)/);
      await expectDead();
      await first.child.printed(/"end":"lost"/);
    });

    it("dies with a runner that hangs, before its lease ends", async () => {
      const first = await start("first");
      const runId = await startStuck(first);
      await start("second");
      first.child.signal("SIGSTOP");
      await expectDead();
      expect(executionsOf(await instance.run(runId))).toHaveLength(1);
      await expectSecondExecution(runId);

      first.child.signal("SIGCONT");
      expect(await first.child.exited).toMatchObject({ code: 1 });
      expect(first.child.output).toContain("the guard process is gone");
    });

    it("dies with its guard, and goes back to the queue by a runner that stops", async () => {
      const first = await start("first");
      const runId = await startStuck(first);
      await start("second");
      const [, guardPid] = await first.child.printed(/"guard_pid":(\d+)/);
      process.kill(Number(guardPid), "SIGKILL");
      await expectDead();
      const lost = await expectSecondExecution(runId);
      // The end of what the guard held may be noticed before that of the guard.
      expect(lost?.status_reason_message).toMatch(/guard process is gone|went away|disappeared/);
      expect(await first.child.exited).toMatchObject({ code: 1 });
    });

    it("dies with its runner", async () => {
      const first = await start("first");
      await startStuck(first);
      await first.kill9();
      await expectDead();
    });

    /** The job's processes, found by what they are made of. */
    async function standsStill(runner: Runner): Promise<boolean> {
      if (sandbox === "docker") {
        const ids = (await runner.dockerThings("job")).map((thing) => thing.replace("container ", ""));
        const states = await Promise.all(ids.map(async (id) => (await docker.getContainer(id).inspect()).State.Paused));
        return states.some(Boolean);
      }
      const pids = await processesWith("0.01");
      const states = await Promise.all(pids.map(async (pid) => await readFile(`/proc/${pid}/stat`, "utf8")));
      return states.every((stat) => stat.slice(stat.lastIndexOf(")") + 2).startsWith("T"));
    }
  },
);

describe("[host] a job whose control plane is down", () => {
  const stage = useStage();

  it("goes on for longer than its lease, and ends green with every line", async () => {
    const plane = await ControlPlane.start(stage, { times: TIMES });
    const instance = await Instance.create(stage, plane);
    const signs = await stage.folder("signs");
    await chmod(signs, 0o777);
    const project = await instance.project({
      "long.yml": workflow(
        "Long",
        `  job:
    steps:
      - run: echo begun; sleep 14; echo outlived; touch ${signs}/outlived; sleep 1; echo done
`,
      ),
    });
    const runner = await instance.runner({ name: "alone" });
    const runId = await instance.fire(project, "Long");
    await instance.stepPrinted(runId, "job", "begun");
    await plane.kill9();
    await runner.child.printed(/the control plane is down; the job goes on/);
    await eventually("the job has outlived its lease", async () => {
      await access(join(signs, "outlived"));
      return true;
    });
    await plane.restart();

    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    expect(executionsOf(run)).toHaveLength(1);
    expect(await instance.logText(runStep(jobOf(run, "job")).id)).toContain("begun\noutlived\ndone\n");
    expect(runner.child.output).not.toContain("stands still");
  });
});

function executionsOf(run: RunDetail): JobExecution[] {
  return jobOf(run, "job").job_executions.toSorted((left, right) => left.sequence - right.sequence);
}
