import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { TestPlane, workflow } from "./test-plane.ts";

/** The second fails when it is told to; the third needs it. */
const JOBS = ["build", "test", "deploy"]
  .map((key, index) => {
    const needs = index === 2 ? "    needs: [build, test]\n" : "";
    return `  ${key}:\n    runner: linux\n${needs}    steps: [{ run: 'true' }]\n`;
  })
  .join("");

/** Runs what is queued, in the order of the jobs, until nothing is; `failing` jobs fail. Answers what ran. */
async function work(plane: TestPlane, sessionId: string, failing: readonly string[] = []): Promise<string[]> {
  const ran: string[] = [];
  for (let claimed = await plane.claim(sessionId); claimed !== null; claimed = await plane.claim(sessionId)) {
    const { executionId } = claimed;
    const job = await plane.store.read((tx) =>
      tx.get<{ key: string }>("select j.key from job_executions e join jobs j on j.id = e.job_id where e.id = ?", [
        executionId,
      ]),
    );
    const key = job?.key ?? "";
    ran.push(key);
    await plane.finish(executionId, failing.includes(key) ? 1 : undefined);
  }
  return ran;
}

async function start(store: Parameters<typeof TestPlane.start>[0], limit = 0) {
  const plane = await TestPlane.start(store, { maxConcurrentRuns: limit });
  const { sessionId } = await plane.register();
  return { plane, sessionId };
}

const attemptsOf = (plane: TestPlane, runId: string) =>
  plane.store.read((tx) =>
    tx.all("select attempt, status, rerun_mode, finished_at from run_attempts where run_id = ? order by attempt", [
      runId,
    ]),
  );
const jobsOf = (plane: TestPlane, runId: string, attempt: number) =>
  plane.store.read((tx) =>
    tx.all<{ key: string; status: string; carried_from: string | null; id: string }>(
      `select j.id, j.key, j.status, j.carried_from from jobs j join run_attempts a on a.id = j.run_attempt_id
       where a.run_id = ? and a.attempt = ? order by j.position`,
      [runId, attempt],
    ),
  );

describeStores("a rerun", (open) => {
  it("of all jobs runs each again and keeps the earlier attempt", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(workflow(JOBS));
    expect(await work(plane, sessionId)).toEqual(["build", "test", "deploy"]);
    await plane.rerun(runId, "all");
    expect(await plane.run(runId)).toMatchObject({ status: "pending" });
    expect(await work(plane, sessionId)).toEqual(["build", "test", "deploy"]);
    expect((await plane.run(runId)).status).toBe("succeeded");
    expect(await attemptsOf(plane, runId)).toMatchObject([
      { attempt: 1, status: "succeeded", rerun_mode: null, finished_at: expect.any(Number) },
      { attempt: 2, rerun_mode: "all" },
    ]);
    expect((await jobsOf(plane, runId, 1)).map(({ status }) => status)).toEqual([
      "succeeded",
      "succeeded",
      "succeeded",
    ]);
  });

  it("of what failed carries over what succeeded, through any number of attempts, and runs skipped jobs too", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(workflow(JOBS));
    await work(plane, sessionId, ["test"]);
    const [build] = await jobsOf(plane, runId, 1);
    await plane.rerun(runId, "failed");
    expect(await work(plane, sessionId, ["test"])).toEqual(["test"]);
    expect((await plane.run(runId)).status).toBe("failed");
    await plane.rerun(runId, "failed");
    expect(await work(plane, sessionId)).toEqual(["test", "deploy"]);
    expect((await plane.run(runId)).status).toBe("succeeded");
    expect(await jobsOf(plane, runId, 3)).toMatchObject([
      { key: "build", status: "succeeded", carried_from: build?.id },
      { key: "test", status: "succeeded", carried_from: null },
      { key: "deploy", status: "succeeded", carried_from: null },
    ]);
    const { events } = await plane.run(runId);
    expect(events.filter((type) => type.startsWith("run."))).toEqual([
      "run.created",
      "run.started",
      "run.finished",
      "run.rerun",
      "run.started",
      "run.finished",
      "run.rerun",
      "run.started",
      "run.finished",
    ]);
  });

  it("of a cancelled run runs what was cancelled, and can be cancelled itself", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(workflow(JOBS));
    await plane.cancel(runId);
    await plane.rerun(runId, "failed");
    await plane.cancel(runId);
    expect((await plane.run(runId)).status).toBe("cancelled");
    expect(await plane.claim(sessionId)).toBeNull();
    await plane.rerun(runId, "failed");
    expect(await work(plane, sessionId)).toEqual(["build", "test", "deploy"]);
  });

  it("is refused while the run goes on, and of failed jobs when there are none; nothing changes", async () => {
    const { plane, sessionId } = await start(await open());
    const runId = await plane.fire(workflow(JOBS));
    await expect(plane.rerun(runId, "all")).rejects.toMatchObject({ code: "run-not-terminal" });
    await work(plane, sessionId);
    const before = await plane.run(runId);
    await expect(plane.rerun(runId, "failed")).rejects.toMatchObject({ code: "no-failed-jobs" });
    expect(await plane.run(runId)).toEqual(before);
  });

  it("waits for a place in the workspace as a new run does", async () => {
    const { plane, sessionId } = await start(await open(), 1);
    const first = await plane.fire(workflow(JOBS));
    await work(plane, sessionId);
    const second = await plane.fire(workflow());
    await plane.rerun(first, "all");
    expect(await plane.claim(sessionId)).toMatchObject({});
    expect(await plane.claim(sessionId)).toBeNull();
    await plane.cancel(second, true);
    expect(await work(plane, sessionId)).toEqual(["build", "test", "deploy"]);
  });
});
