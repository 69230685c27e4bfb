import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "../src/control-plane.ts";
import { fault } from "../src/fault.ts";
import { Gate } from "../src/gate.ts";
import { Instance, isOver, jobOf, newestExecution, type ProjectHandle, runStep, workflow } from "../src/instance.ts";
import { startPostgres } from "../src/postgres.ts";
import { type Stage, useStage } from "../src/stage.ts";

const JOBS = 50;
/** As `SHORT_TIMES` of the control plane, and then some. */
const LONGER_THAN_A_LEASE_MS = 6_000;
/** Fifty jobs at once are much for a machine that does other things as well. */
const MANY_JOBS_LIMIT_MS = 300_000;
const TEST_TIMEOUT_MS = 2 * MANY_JOBS_LIMIT_MS;

/** Jobs that number their lines until the gate opens, and then say how many they were. */
const counting = (name: string, jobs: number, gate: Gate) =>
  workflow(
    name,
    Array.from(
      { length: jobs },
      (_, index) => `  job_${index}:
    checkout: false
    steps:
      - run: |
          i=0
          until ${gate.isOpen}; do i=$((i + 1)); echo "line $i"; sleep 0.25; done
          echo "all $i"
`,
    ).join(""),
  );

describe.each([
  { on: "SQLite", database: async () => ({}) },
  {
    on: "[postgres] PostgreSQL",
    database: async (stage: Stage) => ({ SHIPFOX_DATABASE_URL: await startPostgres(stage) }),
  },
])("$on: the control plane is killed", { timeout: TEST_TIMEOUT_MS }, ({ on, database }) => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;
  let gates: { many: Gate; one: Gate };

  beforeAll(async () => {
    gates = { many: await Gate.create(stage), one: await Gate.create(stage) };
    plane = await ControlPlane.start(stage, { env: await database(stage) });
    instance = await Instance.create(stage, plane);
    project = await instance.project({
      "many.yml": counting("Many", JOBS, gates.many),
      "one.yml": counting("One", 1, gates.one),
    });
    await instance.runner({ env: { SHIPFOX_RUNNER_CONCURRENCY: String(JOBS) } });
  });

  /** Every job once, by one execution, with each line of its log once and in order. */
  async function expectWhole(runId: string, jobs: number): Promise<void> {
    const run = await instance.waitForRun(runId, isOver, { limitMs: MANY_JOBS_LIMIT_MS });
    expect(run.jobs.filter((job) => job.status !== "succeeded")).toEqual([]);
    expect(run.jobs).toHaveLength(jobs);
    for (const job of run.jobs) {
      expect(job.job_executions).toHaveLength(1);
      expect(newestExecution(job)).toMatchObject({ status: "succeeded", status_reason: null });
      const printed = (await instance.logText(runStep(job).id))
        .split("\n")
        .filter((line) => /^(line|all) \d+$/.test(line));
      const count = printed.length - 1;
      expect(printed).toEqual([...Array.from({ length: count }, (_, index) => `line ${index + 1}`), `all ${count}`]);
    }
  }

  it(`${fault(1, "kill -9 while all of them print")} on ${on}`, async () => {
    const runId = await instance.fire(project, "Many");
    await instance.waitForRun(runId, ({ jobs }) => jobs.every((job) => job.status === "running"), {
      what: "runs all its jobs",
      limitMs: MANY_JOBS_LIMIT_MS,
    });
    await plane.kill9();
    await plane.restart();
    await gates.many.open();
    await expectWhole(runId, JOBS);
  });

  it(`${fault(2, "kill -9, and started again after more than a lease")} on ${on}`, async () => {
    const runId = await instance.fire(project, "One");
    await instance.stepPrinted(runId, "job_0", "line 2\n");
    await plane.kill9();
    await sleep(LONGER_THAN_A_LEASE_MS);
    await plane.restart();
    await gates.one.open();
    await expectWhole(runId, 1);
    expect((await instance.runners()).flatMap((runner) => runner.jobs)).toEqual([]);
    expect(jobOf(await instance.run(runId), "job_0").job_executions[0]).toMatchObject({ sequence: 1 });
  });
});
