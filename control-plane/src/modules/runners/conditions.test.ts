import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { type PlayedResult, type PlayedStep, TestPlane } from "./test-plane.ts";

type Script = (step: PlayedStep) => PlayedResult;

async function start(store: Parameters<typeof TestPlane.start>[0]) {
  const plane = await TestPlane.start(store);
  const { sessionId } = await plane.register();
  return { plane, sessionId };
}

const nameOf = ({ job, name }: PlayedStep) => `${job}.${name}`;

/** The steps of the run's jobs, in order, as `job.name status reason`. */
const stepsOf = (plane: TestPlane, runId: string) =>
  plane.store.read(async (tx) =>
    (
      await tx.all<Record<string, string | null>>(
        `select j.key, s.name, s.status, s.status_reason from steps s join job_executions e on e.id = s.job_execution_id
         join jobs j on j.id = e.job_id where e.run_id = ? and s.position > 0 order by j.position, e.sequence, s.position`,
        [runId],
      )
    ).map(
      (row) => `${row["key"]}.${row["name"]} ${row["status"]}${row["status_reason"] ? ` ${row["status_reason"]}` : ""}`,
    ),
  );

const fails =
  (...names: string[]): Script =>
  (step) => ({ exit: names.includes(nameOf(step)) ? 3 : 0 });

const HEAD = "name: test\nrunner: linux\njobs:\n";

describeStores("conditions of steps", (open) => {
  const JOB = `${HEAD}  build:
    steps:
      - { name: compile, key: compile, run: "true" }
      - { name: publish, run: "true" }
      - { name: report, if: "\${{ execution.failed }}", run: "true" }
      - { name: clean, if: "\${{ true }}", run: "true" }
      - { name: praise, if: "\${{ steps.compile.status == 'succeeded' && !execution.failed }}", run: "true" }
      - { name: broken, if: "\${{ steps.compile.outputs.none == 'x' }}", run: "true" }
`;

  it("decide what runs after a success", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(JOB);
    await plane.work(sessionId);
    expect(await stepsOf(plane, runId)).toEqual([
      "build.compile succeeded",
      "build.publish succeeded",
      "build.report skipped condition_rejected",
      "build.clean succeeded",
      "build.praise succeeded",
      "build.broken skipped condition_errored",
    ]);
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  it("decide what runs after a failure, which stays one", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(JOB);
    await plane.work(sessionId, fails("build.compile"));
    expect(await stepsOf(plane, runId)).toEqual([
      "build.compile failed",
      "build.publish skipped default_gate_rejected",
      "build.report succeeded",
      "build.clean succeeded",
      "build.praise skipped condition_rejected",
      "build.broken skipped condition_errored",
    ]);
    expect(await plane.run(runId)).toMatchObject({ status: "failed", jobs: [{ status_reason: "step_failed" }] });
  });
});

describeStores("conditions of jobs", (open) => {
  const JOBS = `${HEAD}  build:
    steps: [{ name: compile, run: "true" }]
  never:
    if: \${{ inputs.deploy == true }}
    steps: [{ name: go, run: "true" }]
  deploy:
    needs: build
    steps: [{ name: go, run: "true" }]
  after:
    needs: deploy
    steps: [{ name: go, run: "true" }]
  alarm:
    needs: [build, deploy]
    if: \${{ needs.exists(job, job.status == 'failed') }}
    steps: [{ name: go, run: "true" }]
  always:
    needs: [never, alarm]
    if: \${{ true }}
    steps: [{ name: go, run: "true" }]
`;

  it("are asked once all needs have ended, in whatever way", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(JOBS, undefined, undefined, { inputs: { deploy: false } });
    const ran = await plane.work(sessionId, fails("build.compile"));
    expect(ran.map(nameOf)).toEqual(["build.compile", "alarm.go", "always.go"]);
    const { status, jobs } = await plane.run(runId);
    expect(jobs.map((job) => `${job.key} ${job.status} ${job.status_reason ?? ""}`.trim())).toEqual([
      "build failed step_failed",
      "never skipped condition_rejected",
      "deploy skipped default_gate_rejected",
      "after skipped default_gate_rejected",
      "alarm succeeded",
      "always succeeded",
    ]);
    expect(status).toBe("failed");
  });

  it("start what they accept at once, and may skip a whole run", async () => {
    const { plane, sessionId } = await start(await open());
    const yaml = `${HEAD}  only:\n    if: \${{ inputs.go == true }}\n    steps: [{ run: "true" }]\n`;
    const skipped = await plane.fire(yaml, undefined, undefined, { inputs: { go: false } });
    expect(await plane.run(skipped)).toMatchObject({ status: "succeeded", jobs: [{ status: "skipped" }] });
    const errored = await plane.fire(yaml, undefined, undefined, { inputs: {} });
    expect(await plane.run(errored)).toMatchObject({ jobs: [{ status_reason: "condition_errored" }] });
    const started = await plane.fire(yaml, undefined, undefined, { inputs: { go: true } });
    await plane.work(sessionId);
    expect(await plane.run(started)).toMatchObject({ status: "succeeded", jobs: [{ status: "succeeded" }] });
  });

  it("may compute the labels of their runner, which fails the job when they are none", async () => {
    const { plane, sessionId } = await start(await open());
    const yaml = `name: test\njobs:\n  only:\n    runner: [linux, "\${{ inputs.pool }}"]\n    steps: [{ run: "true" }]\n`;
    const fire = (inputs: Record<string, unknown>) => plane.fire(yaml, undefined, undefined, { inputs });
    const here = await fire({ pool: " Linux " });
    const elsewhere = await fire({ pool: "gpu" });
    const wrong = await fire({ pool: "a b" });
    const empty = await fire({ pool: " " });
    const missing = await fire({});
    expect(await plane.work(sessionId)).toHaveLength(1);
    expect((await plane.run(here)).status).toBe("succeeded");
    expect((await plane.run(elsewhere)).status).toBe("pending");
    for (const runId of [wrong, empty, missing])
      expect(await plane.run(runId)).toMatchObject({ status: "failed", executions: [{ status_reason: "unknown" }] });
    const { sessionId: gpu } = await plane.register(["linux", "gpu"]);
    expect(await plane.work(gpu)).toHaveLength(1);
  });

  it("give the place of a run that they skip to the next one", async () => {
    const plane = await TestPlane.start(await open(), { maxConcurrentRuns: 1 });
    const yaml = `${HEAD}  only:\n    if: \${{ false }}\n    steps: [{ run: "true" }]\n`;
    const runs = [];
    for (let count = 0; count < 3; count += 1) runs.push(await plane.fire(yaml));
    for (const runId of runs) expect((await plane.run(runId)).status).toBe("succeeded");
  });
});

describeStores("what a step is given", (open) => {
  it("is known when it starts, and never becomes code", async () => {
    const { plane, sessionId } = await start(await open());
    const yaml = `name: test
run_name: Deploy \${{ inputs.version }} by \${{ vars.TEAM }}
runner: linux
env: { TITLE: "\${{ event.pull_request.title }}" }
jobs:
  build:
    execution_name: Build of \${{ inputs.version }}
    steps:
      - { key: measure, name: measure, run: "true", outputs: { size: number, ok: boolean } }
      - name: "show \${{ inputs.version }}"
        run: echo \${{ event.pull_request.title }} "\${{ steps.measure.outputs.size * 2.0 }}"
        working_directory: app/\${{ inputs.version }}
        env: { TOKEN: "Bearer \${{ secrets.KEY }}", COUNT: "\${{ run.number + 1 }}", WHO: "\${{ vars.TEAM + '!' }}" }
`;
    const title = "$(touch /tmp/pwned) `id` \"'";
    const runId = await plane.fire(yaml, undefined, undefined, {
      inputs: { version: "v1.2" },
      trigger: {
        provider: "github",
        source: "hub",
        event: "pull_request.opened",
        payload: { data: { pull_request: { title } } },
      },
      variables: { TEAM: "red" },
    });
    const [, show] = await plane.work(sessionId, ({ name }) =>
      name === "measure" ? { outputs: { size: "21", ok: "true" } } : {},
    );
    expect(show).toMatchObject({
      name: "show v1.2",
      config: {
        run: 'echo "${__sf_0}" "${__sf_1}"',
        working_directory: "app/v1.2",
        env: { TITLE: title, __sf_0: title, __sf_1: "42", COUNT: "2", WHO: "red!" },
        secret_bindings: [
          {
            target: "TOKEN",
            segments: [
              { kind: "literal", value: "Bearer " },
              { kind: "secret", store: "local", key: "KEY" },
            ],
          },
        ],
      },
    });
    const names = await plane.store.read((tx) =>
      tx.get(
        "select r.name as run, e.name as execution from runs r join job_executions e on e.run_id = r.id where r.id = ?",
        [runId],
      ),
    );
    expect(names).toEqual({ run: "Deploy v1.2 by red", execution: "Build of v1.2" });
  });

  it("fails the step, with the field and the expression, when it has no value", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(
      `${HEAD}  build:
    steps:
      - { name: show, run: "echo \${{ inputs.none }}" }
      - { name: next, run: "true" }
`,
      undefined,
      undefined,
      { inputs: {} },
    );
    expect(await plane.work(sessionId)).toEqual([]);
    const [error] = await plane.store.read((tx) =>
      tx.all<{ error: string }>("select error from steps where name = 'show'"),
    );
    expect(JSON.parse(error?.error ?? "")).toMatchObject({
      reason: "config_unresolvable",
      field: "run",
      source: "inputs.none",
    });
    expect(await plane.run(runId)).toMatchObject({ status: "failed" });
    const logs = await plane.store.read((tx) =>
      tx.all(
        "select l.state from log_streams l join steps s on s.id = l.step_id where l.run_id = ? and s.name = 'show'",
        [runId],
      ),
    );
    expect(logs).toEqual([{ state: "closed" }]);
  });

  it("of outputs is what the step declares: a wrong one fails it", async () => {
    const { plane, sessionId } = await start(await open());
    const yaml = `${HEAD}  build:
    steps:
      - { name: measure, run: "true", outputs: { size: number } }
`;
    const cases: [Record<string, string>, string][] = [
      [{ size: "big" }, 'the output "size" is not a number'],
      [{}, 'the step did not write its declared output "size"'],
      [{ size: "1", more: "x" }, 'the step wrote "more", which its `outputs` do not declare'],
    ];
    for (const [outputs, message] of cases) {
      const runId = await plane.fire(yaml);
      await plane.work(sessionId, () => ({ outputs }));
      const [step] = await plane.store.read((tx) =>
        tx.all<{ error: string }>(
          "select s.error from steps s join job_executions e on e.id = s.job_execution_id where e.run_id = ? and s.position = 1",
          [runId],
        ),
      );
      expect(JSON.parse(step?.error ?? "")).toMatchObject({ reason: "output_invalid", message });
    }
  });
});

describeStores("outputs of jobs", (open) => {
  const outputsOf = (plane: TestPlane, runId: string) =>
    plane.store.read(async (tx) =>
      (
        await tx.all<{ outputs: string | null }>("select outputs from jobs where run_id = ? order by position", [runId])
      ).map(({ outputs }) => outputs && JSON.parse(outputs)),
    );
  const JOBS = `${HEAD}  measure:
    outputs: { size: "\${{ steps.size.outputs.bytes }}", text: "about \${{ steps.size.outputs.bytes }}" }
    steps: [{ name: size, key: size, run: "true", outputs: { bytes: number } }]
  report:
    needs: measure
    if: \${{ jobs.measure.outputs.size > 1000.0 }}
    steps: [{ name: tell, run: "echo \${{ jobs.measure.outputs.size / 2.0 }} \${{ jobs.measure.outputs.text }}" }]
`;

  it("reach the jobs that need it, in their types, also in a rerun of what failed", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(JOBS);
    const first = await plane.work(sessionId, ({ name }) =>
      name === "size" ? { outputs: { bytes: "5001" } } : { exit: 1 },
    );
    const env = { __sf_0: "2500.5", __sf_1: "about 5001" };
    expect(first[1]).toMatchObject({ job: "report", config: { env } });
    expect(await outputsOf(plane, runId)).toEqual([{ size: 5001, text: "about 5001" }, null]);
    await plane.rerun(runId, "failed");
    expect(await plane.work(sessionId)).toMatchObject([{ job: "report", config: { env } }]);
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  it("that have no value or are too large fail it", async () => {
    const { plane, sessionId } = await start(await open());
    const yaml = (text: string) =>
      `${HEAD}  build:\n    outputs: { x: "${text}" }\n    steps: [{ name: go, key: go, run: "true" }]\n`;
    const missing = await plane.fire(yaml("${{ steps.go.outputs.none }}"));
    const large = await plane.fire(yaml("${{ steps.go.outputs.text }}"));
    await plane.work(sessionId, () => ({ outputs: { text: "x".repeat(65_536) } }));
    expect(await plane.run(missing)).toMatchObject({
      status: "failed",
      executions: [
        { status_reason: "output_invalid", status_reason_message: expect.stringContaining('"x" has no value') },
      ],
    });
    expect(await plane.run(large)).toMatchObject({ status: "failed", jobs: [{ status_reason: "output_too_large" }] });
  });

  it("are judged by its success condition", async () => {
    const { plane, sessionId } = await start(await open());
    const yaml = (success: string) =>
      `${HEAD}  build:\n    success: ${success}\n    steps: [{ name: go, run: "true" }]\n`;
    const forgiven = await plane.fire(yaml("executions.size() == 1"));
    const refused = await plane.fire(yaml("executions.exists(e, e.status == 'other')"));
    const errored = await plane.fire(yaml("executions[7].status == 'x'"));
    await plane.work(sessionId, () => ({ exit: 1 }));
    expect(await plane.run(forgiven)).toMatchObject({ status: "succeeded", executions: [{ status: "failed" }] });
    expect(await plane.run(refused)).toMatchObject({ status: "failed", jobs: [{ status_reason: "step_failed" }] });
    expect(await plane.run(errored)).toMatchObject({ status: "failed", jobs: [{ status_reason: "unknown" }] });
  });
});

describeStores("retries", (open) => {
  it("of a job are executions of their own, queued when their wait is over, and end with the first success", async () => {
    const { plane, sessionId } = await start(await open());
    const retry = "{ max: 2, backoff: { delay: 1m } }";
    const runId = await plane.fire(`${HEAD}  flaky:\n    retry: ${retry}\n    steps: [{ name: go, run: "true" }]\n`);
    await plane.work(sessionId, () => ({ exit: 1 }));
    const [, waiting] = (await plane.run(runId)).executions;
    expect(waiting).toMatchObject({ sequence: 2, status: "pending", queued_at: null, due_at: expect.any(Number) });
    expect(await plane.work(sessionId)).toEqual([]);
    await plane.runDue((waiting?.due_at ?? 0) - 1);
    expect(await plane.work(sessionId)).toEqual([]);
    await plane.runDue(waiting?.due_at ?? 0);
    expect(await plane.work(sessionId)).toHaveLength(1);
    const { status, executions, events } = await plane.run(runId);
    expect(executions.map((execution) => execution.status)).toEqual(["failed", "succeeded"]);
    expect(status).toBe("succeeded");
    expect(events.filter((type) => type === "job.finished")).toHaveLength(1);
  });

  it("end with their bound, and with a cancel", async () => {
    const { plane, sessionId } = await start(await open());
    const yaml = `${HEAD}  flaky:\n    retry: 2\n    steps: [{ name: go, run: "true" }]\n`;
    const runId = await plane.fire(yaml);
    expect(await plane.work(sessionId, () => ({ exit: 1 }))).toHaveLength(3);
    expect(await plane.run(runId)).toMatchObject({ status: "failed", jobs: [{ status_reason: "step_failed" }] });
    const cancelled = await plane.fire(yaml);
    await plane.cancel(cancelled);
    expect(await plane.work(sessionId)).toEqual([]);
  });
});

describeStores("priority", (open) => {
  it("decides which of a project's jobs goes first, then their age", async () => {
    const { plane, sessionId } = await start(await open());
    const job = (key: string, priority: string) => `  ${key}:\n${priority}    steps: [{ name: go, run: "true" }]\n`;
    const jobs = [
      job("low", "    priority: -5\n"),
      job("first", ""),
      job("second", "    priority: 0\n"),
      job("high", "    priority: 9\n"),
    ];
    await plane.fire(`${HEAD}${jobs.join("")}`);
    expect((await plane.work(sessionId)).map((step) => step.job)).toEqual(["high", "first", "second", "low"]);
  });
});

describeStores("gates", (open) => {
  const JOB = `${HEAD}  repair:
    steps:
      - { name: prepare, run: "true" }
      - { key: edit, name: edit, run: "echo \${{ step.is_retry ? step.restart.feedback : 'first' }}" }
      - key: check
        name: check
        run: "true"
        gate:
          success: step.exit_code == 0
          on_failure: { restart_from: edit, feedback: "it ended with \${{ step.exit_code }}" }
      - { name: publish, run: "echo \${{ step.attempt }}" }
`;

  it("send the job back with what they found, and let it go on once they are content", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(JOB);
    const ran = await plane.work(sessionId, ({ name, attempt }) => ({ exit: name === "check" && attempt < 3 ? 7 : 0 }));
    const seen = ran.map(({ name, attempt, config }) => {
      const env = config["env"] as Record<string, string> | undefined;
      return `${name} ${attempt}${env ? ` ${env["__sf_0"]}` : ""}`;
    });
    expect(seen).toEqual([
      "prepare 1",
      "edit 1 first",
      "check 1",
      "edit 2 it ended with 7",
      "check 2",
      "edit 3 it ended with 7",
      "check 3",
      "publish 3 3",
    ]);
    const { status, events } = await plane.run(runId);
    expect(status).toBe("succeeded");
    expect(events.filter((type) => type === "step.restarted")).toHaveLength(2);
  });

  it("give up after three attempts", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(JOB);
    const ran = await plane.work(sessionId, ({ name }) => ({ exit: name === "check" ? 7 : 0 }));
    expect(ran.map(({ name }) => name)).toEqual(["prepare", "edit", "check", "edit", "check", "edit", "check"]);
    expect(await plane.run(runId)).toMatchObject({ status: "failed" });
    const attempts = await plane.store.read((tx) =>
      tx.all<{ gate_result: string; restart_feedback: string | null }>(
        `select a.gate_result, a.restart_feedback from step_attempts a join steps s on s.id = a.step_id
         where s.name = 'check' order by a.attempt`,
      ),
    );
    expect(attempts.map((row) => [JSON.parse(row.gate_result).reason, row.restart_feedback])).toEqual([
      ["gate_failed", "it ended with 7"],
      ["gate_failed", "it ended with 7"],
      ["restart_exhausted", null],
    ]);
  });

  it("can forgive a failure, and refuse a success", async () => {
    const { plane, sessionId } = await start(await open());
    const yaml = (success: string) => `${HEAD}  build:
    steps:
      - { name: scan, run: "true", gate: { success: "${success}" } }
      - { name: next, run: "true" }
`;
    const forgiven = await plane.fire(yaml("step.exit_code in [0, 3]"));
    expect((await plane.work(sessionId, fails("build.scan"))).map(({ name }) => name)).toEqual(["scan", "next"]);
    expect((await plane.run(forgiven)).status).toBe("succeeded");
    const refused = await plane.fire(yaml("step.outputs.clean == 'yes'"));
    expect((await plane.work(sessionId, () => ({ outputs: { clean: "no" } }))).map(({ name }) => name)).toEqual([
      "scan",
    ]);
    expect((await plane.run(refused)).status).toBe("failed");
    const errored = await plane.fire(yaml("step.outputs.clean == 'yes'"));
    expect(await plane.work(sessionId)).toHaveLength(1);
    expect((await plane.run(errored)).status).toBe("failed");
  });
});
