import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { type PlayedStep, TestPlane } from "./test-plane.ts";

async function start(store: Parameters<typeof TestPlane.start>[0]) {
  const plane = await TestPlane.start(store);
  const { sessionId } = await plane.register();
  return { plane, sessionId };
}

const jobsOf = async (plane: TestPlane, runId: string) =>
  (await plane.run(runId)).jobs.map(({ key, status, status_reason: reason }) =>
    `${key} ${status} ${reason ?? ""}`.trim(),
  );
const queuedOf = (plane: TestPlane, runId: string) =>
  plane.store.read(async (tx) =>
    (
      await tx.all<{ key: string }>(
        `select j.key from job_executions e join jobs j on j.id = e.job_id
         where e.run_id = ? and e.status = 'pending' and e.queued_at is not null order by j.position, e.sequence`,
        [runId],
      )
    ).map(({ key }) => key),
  );

async function claimed(plane: TestPlane, sessionId: string) {
  const claim = await plane.claim(sessionId);
  if (!claim) throw new Error("nothing to claim");
  return claim;
}

const go = 'steps: [{ name: go, run: "true" }]';
const workflow = (matrix: string, after = "") =>
  `name: test\nrunner: linux\njobs:\n  test:\n    matrix: ${matrix}\n    ${go}\n  after:\n    needs: test\n${after}    ${go}\n`;

describeStores("jobs of a matrix", (open) => {
  it("all run before the job that needs them, each with its own values", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(`name: test
runner: linux
env: { PLAIN: always }
jobs:
  test:
    matrix: { node: [20, 22.5], os: [arm], include: [{ node: 22.5, slow: true }] }
    if: \${{ matrix.os == 'arm' }}
    execution_name: on \${{ matrix.os }}
    steps:
      - name: node \${{ matrix.node }}
        if: \${{ matrix.node >= 20 }}
        run: echo \${{ matrix.node }}
        env: { NEXT: "\${{ matrix.node + 1 }}", SLOW: "\${{ matrix.slow }}" }
      - { name: rare, if: "\${{ matrix.slow == true }}", run: "true" }
  after:
    needs: test
    steps: [{ name: "\${{ jobs.test.status }} \${{ needs.size() }} \${{ size(jobs.test.executions) }}", run: "true" }]
`);
    const steps = await plane.work(sessionId);
    const envOf = ({ config }: PlayedStep) => config["env"];
    expect(steps.map(({ job, name }) => `${job}: ${name}`)).toEqual([
      "test (20, arm): node 20",
      "test (22.5, arm, true): node 22.5",
      "test (22.5, arm, true): rare",
      "after: succeeded 2 2",
    ]);
    expect(steps.slice(0, 2).map(envOf)).toEqual([
      { PLAIN: "always", __sf_0: "20", NEXT: "21", SLOW: "" },
      { PLAIN: "always", __sf_0: "22.5", NEXT: "23.5", SLOW: "true" },
    ]);
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  it("end each other when one fails, whether they wait or run", async () => {
    const { plane, sessionId } = await start(await open());
    const { sessionId: other } = await plane.register();
    const runId = await plane.fire(workflow("{ v: [1, 2, 3] }"));
    const [first, second] = [await claimed(plane, sessionId), await claimed(plane, other)];
    expect(await plane.finish(first.executionId, 1)).toBe("failed");
    expect(await jobsOf(plane, runId)).toEqual([
      "test (1) failed step_failed",
      "test (2) cancelled matrix_failed",
      "test (3) cancelled matrix_failed",
      "after skipped default_gate_rejected",
    ]);
    expect((await plane.run(runId)).status).toBe("failed");
    expect(await plane.heartbeat(second.fence)).toMatchObject({ cancel: true });
    expect(await queuedOf(plane, runId)).toEqual([]);

    await plane.rerun(runId, "failed");
    expect(await queuedOf(plane, runId)).toEqual(["test (1)", "test (2)", "test (3)"]);
  });

  it("do not end each other without `fail_fast`, and a rerun repeats only what failed", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(
      workflow("{ v: [1, 2, 3], fail_fast: false }", "    if: ${{ jobs.test.status == 'failed' }}\n"),
    );
    await plane.work(sessionId, ({ job }) => ({ exit: job === "test (2)" ? 1 : 0 }));
    expect(await jobsOf(plane, runId)).toEqual([
      "test (1) succeeded",
      "test (2) failed step_failed",
      "test (3) succeeded",
      "after succeeded",
    ]);
    await plane.rerun(runId, "failed");
    expect((await plane.work(sessionId)).map(({ job }) => job)).toEqual(["test (2)"]);
  });

  it("are queued as many at once as `max_parallel` lets, also while one waits to be tried again", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(
      `name: test\nrunner: linux\njobs:\n  test:\n    retry: { max: 1, backoff: { delay: 1m } }\n    matrix: { v: [1, 2, 3], max_parallel: 2 }\n    ${go}\n`,
    );
    expect(await queuedOf(plane, runId)).toEqual(["test (1)", "test (2)"]);
    await plane.work(sessionId, ({ job }) => ({ exit: job === "test (1)" ? 1 : 0 }));
    expect(await jobsOf(plane, runId)).toEqual(["test (1) pending", "test (2) succeeded", "test (3) succeeded"]);
    expect(await queuedOf(plane, runId)).toEqual([]);
    const waiting = (await plane.run(runId)).executions.find(({ queued_at: queued }) => queued === null);
    await plane.runDue(waiting?.due_at ?? 0);
    await plane.work(sessionId);
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  it("may be five hundred", async () => {
    const { plane, sessionId } = await start(await open());
    const values = Array.from({ length: 500 }, (_, index) => index);
    const runId = await plane.fire(workflow(`{ v: [${values.join(", ")}], max_parallel: 3 }`));
    expect(await queuedOf(plane, runId)).toEqual(["test (0)", "test (1)", "test (2)"]);
    const { executionId } = await claimed(plane, sessionId);
    const eventsOf = () =>
      plane.store.read((tx) =>
        tx.get<{ events: number }>("select count(*) as events from run_events where run_id = ?", [runId]),
      );
    const before = (await eventsOf())?.events ?? 0;
    await plane.finish(executionId);
    expect(await queuedOf(plane, runId)).toEqual(["test (1)", "test (2)", "test (3)"]);
    // The end of one job changes that job and the one that may start now.
    expect(((await eventsOf())?.events ?? 0) - before).toBeLessThanOrEqual(6);
  });
});
