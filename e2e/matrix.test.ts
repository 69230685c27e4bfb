import { beforeAll, describe, expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { Gate } from "./src/gate.ts";
import { Instance, jobOf, type ProjectHandle, runSteps, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

const TEST = workflow(
  "Test",
  `  test:
    matrix:
      node: [22, 24]
      pool: [fast]
      include: [{ node: 24, coverage: true }]
    runner: [linux, "\${{ matrix.pool }}"]
    steps:
      - run: echo "node" \${{ matrix.node }} "coverage=$COVERAGE"
        env: { COVERAGE: "\${{ matrix.coverage }}" }
      - run: echo built for \${{ matrix.node }} > app
    artifacts: { upload: [{ name: app, paths: [app] }] }
  report:
    needs: test
    artifacts: { download: [{ job: "test (22, fast)", name: app }] }
    steps:
      - run: echo \${{ jobs.test.status }}; cat app
`,
);

const failing = (gate: Gate) =>
  workflow(
    "Failing",
    `  test:
    matrix: { code: [0, 7] }
    steps:
      - run: if [ \${{ matrix.code }} = 0 ]; then ${gate.wait}; fi; exit \${{ matrix.code }}
`,
  );

const values = Array.from({ length: 500 }, (_, index) => index);
const LARGE = workflow(
  "Large",
  `  test:
    runner: nowhere
    matrix: { v: [${values.join(", ")}], max_parallel: 20 }
    steps: [{ run: "true" }]
`,
);

describe("jobs of a matrix", () => {
  const stage = useStage();
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    const gate = await Gate.create(stage);
    const plane = await ControlPlane.start(stage);
    instance = await Instance.create(stage, plane);
    project = await instance.project({ "test.yml": TEST, "failing.yml": failing(gate), "large.yml": LARGE });
    await instance.runner({ sandbox: "host", labels: "linux,fast" });
    await instance.runner({ sandbox: "host", labels: "linux" });
  });

  it("run each with its own values, on the runners and before the jobs that they are meant for", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Test"));
    expect(run.jobs.map(({ key, status, matrix, runner }) => [key, status, matrix, runner])).toEqual([
      [
        "test (22, fast)",
        "succeeded",
        { job: "test", values: { node: 22, pool: "fast", coverage: null } },
        ["fast", "linux"],
      ],
      [
        "test (24, fast, true)",
        "succeeded",
        { job: "test", values: { node: 24, pool: "fast", coverage: true } },
        ["fast", "linux"],
      ],
      ["report", "succeeded", null, ["linux"]],
    ]);
    const logOf = async (key: string) => instance.logText(runSteps(jobOf(run, key))[0]?.id ?? "");
    expect(await logOf("test (22, fast)")).toContain("node 22 coverage=\n");
    expect(await logOf("test (24, fast, true)")).toContain("node 24 coverage=true\n");
    expect(await logOf("report")).toContain("succeeded\nbuilt for 22\n");
  });

  it("stop when one of them fails", async () => {
    const run = await instance.waitForRun(await instance.fire(project, "Failing"));
    expect(run.status).toBe("failed");
    expect(run.jobs.map(({ status, status_reason: reason }) => [status, reason])).toEqual([
      ["cancelled", "matrix_failed"],
      ["failed", "step_failed"],
    ]);
    await instance.waitForRun(run.id, (seen) =>
      seen.jobs.every(({ job_executions: [one] }) => one?.finished_at != null),
    );
  });

  it("may be five hundred, which are read and cancelled as one run", async () => {
    const runId = await instance.fire(project, "Large");
    const run = await instance.run(runId);
    const reasons = Map.groupBy(run.jobs, ({ waiting }) => waiting?.reason);
    expect([...reasons].map(([reason, { length }]) => [reason, length])).toEqual([
      [expect.stringMatching(/labels_unmatched|no_runner/), 20],
      ["matrix_limit", 480],
    ]);
    const { runs } = await instance.api.client.runs.list({ project_id: project.id, limit: 1 });
    expect(runs[0]).toMatchObject({ id: runId, job_status_counts: [{ status: "pending", count: 500 }] });
    await instance.api.client.runs.cancel({ id: runId });
    expect((await instance.run(runId)).jobs.every(({ status }) => status === "cancelled")).toBe(true);
  });
});
