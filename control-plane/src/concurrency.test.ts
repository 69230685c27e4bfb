import { expect, it, onTestFinished } from "vitest";
import { createWaitingPort, runDueLeases } from "./modules/dispatch/public.ts";
import { TestPlane } from "./modules/runners/test-plane.ts";
import { createRunRoutes } from "./modules/runs/public.ts";
import { access } from "./modules/workspaces/public.ts";
import { systemClock } from "./store/clock.ts";
import { describeStores } from "./store/testing.ts";
import { serveApi } from "./testing/api.ts";
import { insertMember } from "./testing/rows.ts";

const go = 'steps: [{ name: go, run: "true" }]';
const deploy = (concurrency: string, more = "") =>
  `name: Deploy\nrunner: linux\njobs:\n  deploy:\n    concurrency: ${concurrency}\n    ${go}\n${more}`;
const REPLACE = "{ group: production, on_busy: replace }";
/** Later than the grace of any runner and the time limit of any job. */
const LATER_MS = 10 * 3_600_000;

describeStores("jobs of one concurrency group", (open) => {
  async function start() {
    const plane = await TestPlane.start(await open());
    const { sessionId } = await plane.register();
    /** The runs that have a job in the queue. */
    const queued = () =>
      plane.store.read(async (tx) =>
        (
          await tx.all<{ run_id: string }>(
            "select e.run_id from queue q join job_executions e on e.id = q.job_execution_id order by q.number",
          )
        ).map((row) => row.run_id),
      );
    const claim = async () => {
      const claimed = await plane.claim(sessionId);
      if (!claimed) throw new Error("nothing to claim");
      return claimed;
    };
    const jobs = async (runId: string) =>
      (await plane.run(runId)).jobs.map(({ key, status, status_reason: reason }) =>
        `${key} ${status} ${reason ?? ""}`.trim(),
      );
    const groups = () => plane.store.read((tx) => tx.all("select name from concurrency_groups"));
    return { plane, sessionId, queued, claim, jobs, groups };
  }

  it("go one at a time, in the order in which they came, however they end, and every one goes", async () => {
    const { plane, queued, claim, groups } = await start();
    const runs = [];
    for (let count = 0; count < 4; count += 1) runs.push(await plane.fire(deploy("production")));
    for (const runId of runs) {
      expect(await queued()).toEqual([runId]);
      const { executionId, facts } = await claim();
      expect(facts.run_id).toBe(runId);
      expect(await queued()).toEqual([]);
      await plane.finish(executionId, runId === runs[1] ? 1 : undefined);
    }
    expect(await queued()).toEqual([]);
    expect(await groups()).toEqual([]);
    const { events } = await plane.run(runs[2] ?? "");
    expect(events.filter((type) => !type.startsWith("step."))).toEqual([
      "run.created",
      "job.group_waiting",
      "job.queued",
      "run.started",
      "job.started",
      "job.finished",
      "run.finished",
    ]);
  });

  it("are those of their project alone, and of the name that the expression gives", async () => {
    const { plane, queued } = await start();
    const other = await plane.addProject();
    const named = deploy('"to-${{ inputs.place }}"');
    const fire = (place: string, project?: string) => plane.fire(named, project, "wait", { inputs: { place } });
    const going = [await fire("a"), await fire("b"), await fire("a", other)];
    await fire("a");
    await fire("b ");
    expect(await queued()).toEqual(going);
  });

  it("fail where the name of the group has no value, or is none, and hold nobody up", async () => {
    const { plane, queued, jobs } = await start();
    const named = deploy('"${{ inputs.place }}"');
    const fire = (place: string | null) =>
      plane.fire(named, undefined, "wait", { inputs: place === null ? {} : { place } });
    const messages = [];
    for (const place of ["  ", "x".repeat(256), "a\nb", null]) {
      const runId = await fire(place);
      expect(await jobs(runId)).toEqual(["deploy failed unknown"]);
      const { executions, status } = await plane.run(runId);
      expect(status).toBe("failed");
      messages.push(executions[0]?.status_reason_message);
    }
    expect(messages.slice(0, 3)).toEqual([
      "the concurrency group is empty",
      "the concurrency group has 256 characters; at most 255 are allowed",
      "the concurrency group has control characters",
    ]);
    expect(messages[3]).toContain("the concurrency group has no value: `${{ inputs.place }}`");
    expect(await queued()).toEqual([]);
  });

  it("keep their place while they are tried again", async () => {
    const { plane, queued, claim } = await start();
    const first = await plane.fire(deploy("production"));
    const second = await plane.fire(deploy("production"));
    await plane.release((await claim()).fence);
    expect(await queued()).toEqual([first]);
    const retried = await plane.claim((await plane.register()).sessionId);
    expect(retried?.facts).toMatchObject({ run_id: first, sequence: 2 });
    expect(await queued()).toEqual([]);
    await plane.finish(retried?.executionId ?? "");
    expect(await queued()).toEqual([second]);
  });

  it("keep it during the back-off of their own retry, too", async () => {
    const { plane, queued, claim } = await start();
    const retrying = deploy("production\n    retry: { max: 1, backoff: { delay: 1m } }");
    const first = await plane.fire(retrying);
    const second = await plane.fire(deploy("production"));
    await plane.finish((await claim()).executionId, 1);
    expect(await queued()).toEqual([]);
    await plane.runDue(Date.now() + 61_000);
    expect(await queued()).toEqual([first]);
    await plane.finish((await claim()).executionId, 1);
    expect(await queued()).toEqual([second]);
  });

  it("give it away when the runner of a cancelled one says that all is dead, not before", async () => {
    const { plane, queued, claim } = await start();
    const first = await plane.fire(deploy("production"));
    const second = await plane.fire(deploy("production"));
    const { fence } = await claim();
    await plane.cancel(first);
    expect((await plane.run(first)).status).toBe("cancelled");
    expect(await queued()).toEqual([]);
    await plane.release(fence);
    expect(await queued()).toEqual([second]);
  });

  it("give it away when the grace of a silent runner is over, or is taken from it", async () => {
    const { plane, queued, claim } = await start();
    const runs = [];
    for (let count = 0; count < 3; count += 1) runs.push(await plane.fire(deploy("production")));
    await claim();
    await plane.cancel(runs[0] ?? "");
    await runDueLeases(plane.dispatch, Date.now() + LATER_MS);
    expect(await queued()).toEqual([runs[1]]);
    await claim();
    await plane.cancel(runs[1] ?? "");
    expect(await queued()).toEqual([]);
    await plane.cancel(runs[1] ?? "", true);
    expect(await queued()).toEqual([runs[2]]);
  });

  it("that wait leave the line when they are cancelled", async () => {
    const { plane, queued, claim } = await start();
    const runs = [];
    for (let count = 0; count < 3; count += 1) runs.push(await plane.fire(deploy("production")));
    await plane.cancel(runs[1] ?? "");
    await plane.finish((await claim()).executionId);
    expect(await queued()).toEqual([runs[2]]);
    // One in the queue has the place as well.
    await plane.fire(deploy("production"));
    await plane.cancel(runs[2] ?? "");
    expect(await queued()).toHaveLength(1);
  });

  it("say of which group they are, and who goes, while they wait", async () => {
    const { plane, claim } = await start();
    const { store, dispatch } = plane;
    const api = await serveApi(
      createRunRoutes({
        store,
        clock: systemClock,
        access,
        waiting: createWaitingPort(dispatch),
        runs: dispatch.runs,
        readDocument: async () => null,
      }),
    );
    onTestFinished(() => api.close());
    const user = await insertMember(store, plane.workspaceId, "viewer");
    const first = await plane.fire(
      deploy("production", `  after:\n    needs: deploy\n    concurrency: later\n    ${go}\n`),
    );
    const second = await plane.fire(deploy("production"));
    const shown = async (runId: string) => (await api.call("GET", `/workflows/runs/${runId}`, { user })).body;
    const waiting = {
      reason: "concurrency_group",
      message: 'waits for its turn in the concurrency group "production": run 1 of Deploy (deploy) goes',
      concurrency: {
        group: "production",
        held_by: { run_id: first, run_number: 1, workflow_name: "Deploy", job_key: "deploy" },
      },
    };
    expect((await shown(second)).jobs).toMatchObject([{ concurrency_group: "production", waiting }]);
    const { body } = await api.call("GET", `/workflows/runs?project_id=${plane.projectId}`, { user });
    expect(body.runs[0].jobs[0].waiting).toMatchObject(waiting);
    expect((await shown(first)).jobs).toMatchObject([
      { concurrency_group: "production", waiting: { reason: "no_runner_online" } },
      { concurrency_group: null, waiting: { reason: "needs" } },
    ]);
    await plane.finish((await claim()).executionId);
    expect((await shown(second)).jobs[0].waiting.reason).not.toBe("concurrency_group");
  });

  it("are replaced by one that says so: the one that goes is stopped, those that wait never go", async () => {
    const { plane, queued, claim, jobs } = await start();
    const runs = [await plane.fire(deploy(REPLACE)), await plane.fire(deploy("production"))];
    const { fence } = await claim();
    const third = await plane.fire(deploy(REPLACE));
    await plane.runDueMembers();
    for (const runId of runs) {
      expect(await jobs(runId)).toEqual(["deploy cancelled replaced"]);
      const { executions, status } = await plane.run(runId);
      expect(status).toBe("cancelled");
      expect(executions[0]?.status_reason_message).toBe(
        "run 1 of Deploy came after it in its concurrency group and replaces it",
      );
    }
    expect(await plane.heartbeat(fence)).toMatchObject({ cancel: true });
    expect(await queued()).toEqual([]);
    await plane.release(fence);
    expect(await queued()).toEqual([third]);
  });

  it("are not replaced by others of their own run, and come one after another there", async () => {
    const { plane, sessionId, queued } = await start();
    const runId = await plane.fire(
      `name: Deploy\nrunner: linux\njobs:\n  each:\n    matrix: { v: [1, 2, 3] }\n    concurrency: ${REPLACE}\n    ${go}\n  last:\n    needs: each\n    concurrency: production\n    ${go}\n`,
    );
    expect(await queued()).toEqual([runId]);
    await plane.runDueMembers();
    const steps = await plane.work(sessionId);
    expect(steps.map(({ job }) => job)).toEqual(["each (1)", "each (2)", "each (3)", "last"]);
    expect((await plane.run(runId)).status).toBe("succeeded");
  });

  it("of a matrix end together, and none of them gets the place of another one", async () => {
    const { plane, queued, claim, jobs } = await start();
    const runId = await plane.fire(
      `name: Deploy\nrunner: linux\njobs:\n  each:\n    matrix: { v: [1, 2, 3] }\n    concurrency: production\n    ${go}\n`,
    );
    const next = await plane.fire(deploy("production"));
    await plane.finish((await claim()).executionId, 1);
    expect(await jobs(runId)).toEqual([
      "each (1) failed step_failed",
      "each (2) cancelled matrix_failed",
      "each (3) cancelled matrix_failed",
    ]);
    expect(await queued()).toEqual([next]);
  });

  it("come again in a rerun, at the end of the line", async () => {
    const { plane, queued, claim } = await start();
    const first = await plane.fire(deploy("production"));
    await plane.finish((await claim()).executionId, 1);
    const second = await plane.fire(deploy("production"));
    await plane.rerun(first, "failed");
    expect(await queued()).toEqual([second]);
    await plane.finish((await claim()).executionId);
    expect(await queued()).toEqual([first]);
  });

  it("have their time limit from when they have the place, and are tried again after the old runner has stopped", async () => {
    const { plane, queued, claim } = await start();
    const retrying = deploy("production\n    execution_timeout: 1h\n    retry: 1");
    const first = await plane.fire(retrying);
    const second = await plane.fire(retrying);
    const { fence } = await claim();
    const dues = (await plane.run(second)).executions.map(({ due_at: due }) => due);
    expect(dues).toEqual([null]);
    await plane.runDue(Date.now() + LATER_MS);
    expect((await plane.run(first)).executions.map(({ status }) => status)).toEqual(["failed", "pending"]);
    expect(await queued()).toEqual([]);
    await plane.release(fence);
    expect(await queued()).toEqual([first]);
    await plane.finish((await claim()).executionId);
    expect(await queued()).toEqual([second]);
  });
});
