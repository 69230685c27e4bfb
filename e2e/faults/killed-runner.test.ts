import { randomInt } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { docker } from "../src/docker.ts";
import { eventually } from "../src/eventually.ts";
import { fault } from "../src/fault.ts";
import { Instance, jobOf, type ProjectHandle, workflow } from "../src/instance.ts";
import { killIfThere, processesBelow, processesWith } from "../src/processes.ts";
import type { Runner } from "../src/runner.ts";
import { useStage } from "../src/stage.ts";

/** Name the processes of these jobs among all of the machine. */
const SECONDS = `300.${randomInt(10_000, 100_000)}1`;
const WAITING = `300.${randomInt(10_000, 100_000)}2`;
/** Goes on until the test ends its wait; a process in the background does not heed SIGTERM. */
const SLOW = workflow(
  "Slow",
  `  job:
    checkout: false
    steps:
      - run: |
          (trap '' TERM; exec sleep ${SECONDS}) &
          echo begun
          sleep ${WAITING} || true
          echo "done on $SHIPFOX_RUNNER_NAME"
`,
);

async function endTheWait(): Promise<void> {
  const [pid] = await eventually("the step waits", async () => {
    const pids = await processesWith(WAITING);
    return pids.length === 1 && pids;
  });
  process.kill(pid as number, "SIGTERM");
}

describe.each([{ sandbox: "docker" as const }, { sandbox: "host" as const }])(
  "[$sandbox] a runner that is killed",
  ({ sandbox }) => {
    const stage = useStage();
    let instance: Instance;
    let project: ProjectHandle;
    let runId: string;

    beforeAll(async () => {
      instance = await Instance.create(stage, await ControlPlane.start(stage));
      project = await instance.project({ "slow.yml": SLOW });
    });

    beforeEach(async () => {
      runId = await instance.fire(project, "Slow");
    });

    /** Waits until the job of this test prints and its process in the background is there. */
    async function inTheMiddle(): Promise<void> {
      await instance.stepPrinted(runId, "job", "begun");
      await eventually(
        "the process in the background is there",
        async () => (await processesWith(SECONDS)).length === 1,
      );
    }

    /** The first one lost with a mark in its log, the second one done, and no third. */
    async function expectSecondExecution(finishedOn: string): Promise<void> {
      await instance.waitForRun(runId, (run) => jobOf(run, "job").job_executions.length === 2);
      await endTheWait();
      const run = await instance.waitForRun(runId);
      expect(run.status).toBe("succeeded");
      const job = jobOf(run, "job");
      expect(job).toMatchObject({ status: "succeeded", status_reason: null });
      const [first, second, ...more] = job.job_executions.toSorted((left, right) => left.sequence - right.sequence);
      expect(more).toEqual([]);
      expect(first).toMatchObject({
        sequence: 1,
        status: "failed",
        status_reason: "runner_lost",
        failure_class: "infrastructure",
        retry_of: null,
      });
      expect(first?.status_reason_message).toMatch(/runner/);
      expect(second).toMatchObject({ sequence: 2, status: "succeeded", status_reason: null, retry_of: first?.id });
      expect(Date.parse(second?.started_at ?? "")).toBeGreaterThanOrEqual(Date.parse(first?.finished_at ?? ""));

      const lost = first?.steps.find((step) => step.type === "run");
      const done = second?.steps.find((step) => step.type === "run");
      expect(await instance.logText(lost?.id ?? "")).toContain("begun\n");
      expect(await instance.logText(done?.id ?? "")).toContain(`done on ${finishedOn}\n`);
      await eventually("the log of the lost execution says that its runner was lost", async () =>
        (await instance.logRecords(lost?.id ?? "")).some(({ type }) => type === "runner_lost"),
      );
    }

    /** While the second execution runs, the process of the first one is dead. */
    async function expectNeverTwo(): Promise<void> {
      await instance.waitForRun(runId, (run) => jobOf(run, "job").job_executions.length === 2);
      await inTheMiddle();
    }

    async function expectNothingLeft(runner: Runner): Promise<void> {
      await runner.child.stop();
      expect(await runner.dockerThings()).toEqual([]);
      expect(await processesBelow(runner.stateDir)).toEqual([]);
      expect(await processesWith(SECONDS)).toEqual([]);
    }

    it(`${fault(3, "another runner takes the job")}`, async () => {
      const first = await instance.runner({ sandbox, name: "first" });
      await inTheMiddle();
      await first.kill9();
      await eventually("nothing of the job goes on", async () => (await processesWith(SECONDS)).length === 0);
      const second = await instance.runner({ sandbox, name: "second" });

      await expectSecondExecution("second");
      await eventually("the containers of the killed runner are gone", async () => !(await first.runsContainers()));
      expect((await instance.runnerNamed("first")).jobs).toEqual([]);
      await expectNothingLeft(second);
      // What is left of the killed runner are empty networks and what it had not started yet; its next start removes them.
      await first.restart();
      await expectNothingLeft(first);
    });

    it(`${fault(4, "the runner itself takes the job again, without waiting for the lease to end")}`, async () => {
      const runner = await instance.runner({ sandbox, name: "again" });
      await inTheMiddle();
      await runner.kill9();
      await runner.restart();
      await expectNeverTwo();
      await expectSecondExecution("again");
      expect((await instance.runnerNamed("again")).state).toBe("online");
      await expectNothingLeft(runner);
    });

    it(`${fault(4, "the guard, which would have ended the job, does not move either")}`, async () => {
      const runner = await instance.runner({ sandbox, name: "unguarded" });
      const [, guard] = await runner.child.printed(/"guard_pid":(\d+)/);
      await inTheMiddle();
      process.kill(Number(guard), "SIGSTOP");
      // Not awaited: the guard holds what the runner printed to.
      runner.child.signal("SIGKILL");
      const former = runner.child;
      await eventually("the runner is dead", async () => !former.running);
      expect(await processesWith(SECONDS)).toHaveLength(1);
      await runner.restart();
      await expectNeverTwo();
      await expectSecondExecution("unguarded");
      expect(() => process.kill(Number(guard), 0)).toThrow(/ESRCH/);
      await expectNothingLeft(runner);
    });

    it(`${fault(5, "everything that it had started ends at the same moment")}`, async () => {
      const runner = await instance.runner({ sandbox, name: "powerless" });
      await inTheMiddle();
      const before = await runner.dockerThings();
      await losePower(runner);
      await runner.restart();
      expect((await runner.dockerThings()).filter((thing) => before.includes(thing))).toEqual([]);
      await expectNeverTwo();
      await expectSecondExecution("powerless");
      await expectNothingLeft(runner);
    });

    /** All of its processes and containers, none of which gets to do anything about it. */
    async function losePower(runner: Runner): Promise<void> {
      const containers = (await runner.dockerThings())
        .filter((thing) => thing.startsWith("container "))
        .map((thing) => docker.getContainer(thing.replace("container ", "")));
      // Stopped first: what watches another one would else still react to its end.
      const pids = await processesBelow(runner.stateDir);
      for (const pid of pids) killIfThere(pid, "SIGSTOP");
      await Promise.all(containers.map((container) => container.kill({ signal: "SIGKILL" }).catch(() => undefined)));
      for (const pid of pids) killIfThere(pid, "SIGKILL");
      await runner.child.exited;
    }
  },
);

describe("[host] a runner that is killed while nothing runs", () => {
  const stage = useStage();

  it("takes the next job when it is started again", async () => {
    const instance = await Instance.create(stage, await ControlPlane.start(stage));
    const project = await instance.project({ "slow.yml": SLOW });
    const runner = await instance.runner({ name: "idle" });
    await runner.kill9();
    await runner.restart();
    const runId = await instance.fire(project, "Slow");
    await endTheWait();
    const run = await instance.waitForRun(runId);
    expect(run.status).toBe("succeeded");
    expect(jobOf(run, "job").job_executions).toHaveLength(1);
  });
});
