import { GitHubServer } from "@shipfox/shared/github-server.fixture";
import { expect, it, onTestFinished } from "vitest";
import { readConfig } from "./config.ts";
import { openGitHub } from "./modules/integrations/public.ts";
import { TestPlane, workflow } from "./modules/runners/test-plane.ts";
import { reportStep } from "./modules/runs/public.ts";
import type { RunEvent, Store } from "./store/store.ts";
import { describeStores } from "./store/testing.ts";
import { silentLog, TEST_ROOT_KEY, testClock } from "./testing/api.ts";

const COMMIT = "a".repeat(40);
const REPOSITORY = { id: 7, owner: "acme", name: "app", private: true, defaultBranch: "main" };
const TWO_JOBS = workflow(`  build:
    runner: linux
    steps: [{ run: 'true' }]
  test:
    name: All tests
    runner: linux
    needs: build
    steps: [{ run: 'true' }]
`);
const MINUTE_MS = 60_000;

describeStores("check runs on GitHub", (open) => {
  /** A workspace whose project is on GitHub, with what shows its jobs there. */
  async function start(permissions?: Record<string, "read" | "write">) {
    const listeners: ((events: RunEvent[]) => void)[] = [];
    const store = await open({ onRunEvents: (events) => listeners.forEach((listen) => listen(events)) });
    const plane = await TestPlane.start(store);
    const github = await GitHubServer.start();
    const installation = github.install("acme", [{ ...REPOSITORY }], permissions);
    await moveToGitHub(store, plane, installation.id);
    const clock = testClock(Date.now());
    github.now = () => clock.now();
    const connect = () => {
      const opened = openGitHub({
        config: readConfig(github.environment),
        rootKeys: TEST_ROOT_KEY,
        publicUrl: "https://shipfox.example",
        store,
        clock,
        log: silentLog,
        arm: () => {},
      });
      if (!opened) throw new Error("the GitHub App is not configured");
      listeners.splice(0, 1, (events) => opened.checks.onRunEvents(events));
      onTestFinished(() => opened.close());
      return opened.checks;
    };
    onTestFinished(() => github.close());
    const checks = connect();
    await checks.start();
    // In the order of their jobs: several are sent at once.
    const ordered = () => github.checkRuns.toSorted((a, b) => (a.external_id < b.external_id ? -1 : 1));
    const shown = () => ordered().map(({ name, history }) => [name, ...history]);
    const errors = async () =>
      (await store.read((tx) => tx.all<{ last_error: string | null }>("select last_error from check_runs"))).map(
        (row) => row.last_error,
      );
    return { store, plane, github, clock, checks, connect, shown, errors };
  }

  async function moveToGitHub(store: Store, plane: TestPlane, installationId: number): Promise<void> {
    await store.write(async (tx) => {
      const settings = JSON.stringify({ accountId: 1, accountUrl: "https://github.com/acme" });
      const connection = "update connections set provider = 'github', external_account_id = ?, settings = ?";
      await tx.run(connection, [String(installationId), settings]);
      await tx.run("update projects set external_repository_id = ?", [`github:${REPOSITORY.id}`]);
      await tx.run("insert into check_cursors (workspace_id, last_event) values (?, 0)", [plane.workspaceId]);
    });
  }

  async function claim(plane: TestPlane): Promise<string> {
    const { sessionId } = await plane.register();
    const claimed = await plane.claim(sessionId);
    if (!claimed) throw new Error("there is nothing to claim");
    return claimed.executionId;
  }

  /** The setup step, with the commit that the runner says it checked out. */
  async function checkOut(plane: TestPlane, executionId: string, commit = COMMIT): Promise<void> {
    const next = await plane.next(executionId);
    if (next.kind === "done") throw new Error("there is no setup step");
    const checkout = { repository: "acme/app", ref: "main", commit, path: "." };
    const report = { status: "succeeded", log_outcome: "drained", attempt: 1, exit_code: 0, checkout } as const;
    await plane.store.write((tx) => reportStep(tx, plane.dispatch.runs, executionId, next.step.id, report, Date.now()));
  }

  it("show each job on the commit that was checked out, from the queue to its end", async () => {
    const { plane, github, checks, shown } = await start();
    const runId = await plane.fire(TWO_JOBS);
    const build = await claim(plane);
    await checks.runDue();
    expect(shown()).toEqual([]);

    await checkOut(plane, build);
    await checks.runDue();
    expect(shown()).toEqual([
      ["test / build", "in_progress"],
      ["test / All tests", "queued"],
    ]);
    expect(github.checkRuns.find(({ name }) => name === "test / build")).toMatchObject({
      repositoryId: REPOSITORY.id,
      head_sha: COMMIT,
      details_url: `https://shipfox.example/app/runs/${runId}`,
      output: { title: "Running", summary: `[Run 1](https://shipfox.example/app/runs/${runId})` },
    });
    await plane.finish(build);
    const test = await claim(plane);
    await checks.runDue();
    await plane.finish(test, 1);
    await checks.runDue();
    expect(shown()).toEqual([
      ["test / build", "in_progress", "completed:success"],
      ["test / All tests", "queued", "in_progress", "completed:failure"],
    ]);
    const sent = github.requests.length;
    await checks.runDue();
    expect(github.requests.length).toBe(sent);
  });

  it("show what was cancelled and what was skipped", async () => {
    const { plane, checks, shown } = await start();
    await plane.fire(TWO_JOBS);
    const failing = await claim(plane);
    await checkOut(plane, failing);
    await plane.finish(failing, 1);
    await checks.runDue();
    expect(shown()).toEqual([
      ["test / build", "completed:failure"],
      ["test / All tests", "completed:skipped"],
    ]);
    const cancelled = await plane.fire(TWO_JOBS);
    await checkOut(plane, await claim(plane));
    await checks.runDue();
    await plane.cancel(cancelled);
    await checks.runDue();
    expect(shown().slice(2)).toEqual([
      ["test / build", "in_progress", "completed:cancelled"],
      ["test / All tests", "queued", "completed:cancelled"],
    ]);
  });

  it("are made once although GitHub's answer was lost", async () => {
    const { plane, github, clock, checks, shown } = await start();
    await plane.fire(workflow());
    github.faults.push({ path: /check-runs$/, dropAnswer: true });
    const build = await claim(plane);
    await checkOut(plane, build);
    const next = await checks.runDue();
    expect(shown()).toEqual([["test / build", "in_progress"]]);
    expect(next).toBeGreaterThan(clock.now());
    clock.advance(MINUTE_MS);
    expect(await checks.runDue()).toBeNull();
    await plane.finish(build);
    await checks.runDue();
    expect(shown()).toEqual([["test / build", "in_progress", "in_progress", "completed:success"]]);
  });

  it("wait as long as GitHub asks, and no job waits with them", async () => {
    const { plane, github, clock, checks, shown, errors } = await start();
    github.faults.push({ path: /access_tokens/, status: 429, headers: { "retry-after": "120" } });
    const runId = await plane.fire(workflow());
    const build = await claim(plane);
    await checkOut(plane, build);
    const next = await checks.runDue();
    expect(next).toBeGreaterThanOrEqual(clock.now() + 2 * MINUTE_MS);
    expect(await errors()).toEqual([expect.stringContaining("rate-limited")]);
    await plane.finish(build);
    expect((await plane.run(runId)).status).toBe("succeeded");
    clock.advance(4 * MINUTE_MS);
    expect(await checks.runDue()).toBeNull();
    expect(shown()).toEqual([["test / build", "completed:success"]]);
    expect(await errors()).toEqual([null]);
  });

  it("are given up when the app may not make them, or GitHub fails too often", async () => {
    const forbidden = await start({ contents: "read" });
    await forbidden.plane.fire(workflow());
    await checkOut(forbidden.plane, await claim(forbidden.plane));
    expect(await forbidden.checks.runDue()).toBeNull();
    expect(await forbidden.errors()).toEqual([expect.stringMatching(/^access-denied: .*permission/)]);

    const failing = await start();
    await failing.plane.fire(workflow());
    await checkOut(failing.plane, await claim(failing.plane));
    let rounds = 0;
    for (let next: number | null = 0; next !== null && rounds < 50; rounds += 1) {
      failing.github.faults.splice(0, 9, { path: /access_tokens/, status: 429, headers: { "retry-after": "10" } });
      next = await failing.checks.runDue();
      failing.clock.advance(20 * MINUTE_MS);
    }
    expect(rounds).toBe(12);
    expect(failing.shown()).toEqual([]);
  });

  it("miss nothing over a restart of the server", async () => {
    const { plane, connect, shown } = await start();
    await plane.fire(workflow());
    const build = await claim(plane);
    await checkOut(plane, build);
    await plane.finish(build);
    const afterwards = connect();
    await afterwards.start();
    await afterwards.runDue();
    expect(shown()).toEqual([["test / build", "completed:success"]]);
  });

  it("are none for a disabled connection, nor for what a runner calls a commit", async () => {
    const { store, plane, github, checks, shown } = await start();
    await plane.fire(workflow());
    await checkOut(plane, await claim(plane), "../../../user");
    await checks.runDue();
    await store.write((tx) => tx.run("update connections set lifecycle_status = 'disabled'"));
    await plane.fire(workflow());
    await checkOut(plane, await claim(plane));
    expect(await checks.runDue()).toBeNull();
    expect([shown(), github.requests]).toEqual([[], []]);
  });
});
