import type { RunDetail, RunListItem } from "@shipfox/shared/api/runs";
import { expect, it, onTestFinished } from "vitest";
import { createWaitingPort } from "./modules/dispatch/public.ts";
import type { PlayedResult, PlayedStep } from "./modules/runners/test-plane.ts";
import { createRunRoutes, executionLost } from "./modules/runs/public.ts";
import { access } from "./modules/workspaces/public.ts";
import { systemClock } from "./store/clock.ts";
import type { Store } from "./store/store.ts";
import { describeStores } from "./store/testing.ts";
import { serveApi } from "./testing/api.ts";
import { startTriggers } from "./triggers.fixture.ts";

/** A run of one listening job, `listen`, unless `jobs` says more; `body` is what stands in the job beside its steps. */
function listening(listens: string, body = "", jobs = ""): string {
  return `name: test
runner: linux
jobs:
${jobs}  listen:
${body}    listening: ${listens}
    steps:
      - { name: work, key: work, run: "echo \${{ execution.index }} \${{ toJson(execution.events.map(e, e.data)) }}" }
`;
}

const TAG = "{ on: [{ source: git, event: tag }], until: [{ source: git, event: close }] }";

async function start(store: Store) {
  const world = await startTriggers(store);
  const { plane, clock } = world;
  const { sessionId } = await plane.register();
  const api = await serveApi(
    createRunRoutes({
      store,
      clock: systemClock,
      access,
      waiting: createWaitingPort(plane.dispatch),
      runs: plane.dispatch.runs,
      readDocument: async () => null,
    }),
  );
  onTestFinished(() => api.close());
  let payloads = 0;
  /** What runs reads the system's clock: events come after what has been done. */
  const catchUp = () => clock.advance(Math.max(1, Date.now() + 1 - clock.now()));
  const route = () => world.routing().runDue(clock.now());
  return {
    ...world,
    store,
    route,
    sessionId,
    fire: async (yaml: string, options: Parameters<typeof plane.fire>[3] = {}) => {
      const runId = await plane.fire(yaml, undefined, undefined, options);
      catchUp();
      return runId;
    },
    /** Stores and routes an event; answers its id. */
    happens: async (event: string, payload?: Record<string, unknown>, fields = {}) => {
      catchUp();
      payloads += 1;
      const id = await world.receive({ event, payload: payload ?? { n: payloads }, ...fields });
      await route();
      return id;
    },
    work: (script?: (step: PlayedStep) => PlayedResult) => plane.work(sessionId, script),
    detail: async (runId: string): Promise<RunDetail> =>
      (await api.call("GET", `/workflows/runs/${runId}`, { user: world.user })).body,
    item: async (): Promise<RunListItem> =>
      (await api.call("GET", `/workflows/runs?project_id=${plane.projectId}`, { user: world.user })).body.runs[0],
    eventsOf: async (runId: string) => (await plane.run(runId)).events.filter((type) => type.startsWith("job.")),
  };
}

const payloadsOf = ({ jobs }: RunDetail, key = "listen") =>
  jobs
    .find((job) => job.key === key)
    ?.job_executions.map(({ trigger_events: events }) => events.map(({ data }) => (data as { n: number }).n));

describeStores("a listening job", (open) => {
  it("runs for each event that it listens for, and ends with the one that ends it", async () => {
    const world = await start(await open());
    const runId = await world.fire(listening(TAG, "    execution_name: on ${{ execution.events[0].data.name }}\n"));
    expect(await world.detail(runId)).toMatchObject({
      status: "running",
      has_started_job_execution: false,
      jobs: [
        {
          mode: "listening",
          status: "running",
          listener_status: "listening",
          resolution_reason: null,
          job_executions: [],
          listening: {
            on: [{ source: "git", event: "tag" }],
            until: [{ source: "git", event: "close" }],
            timeout_ms: null,
            max_executions: null,
            batch: null,
            on_resolve: "finish",
          },
          waiting: { reason: "listening", message: "listens for git tag, until git close" },
        },
      ],
    });
    const first = await world.happens("tag", { name: "v1" });
    expect((await world.detail(runId)).jobs[0]).toMatchObject({
      listener_status: "listening",
      waiting: { reason: "no_runner_online" },
      job_executions: [{ sequence: 1, status: "pending" }],
    });
    await world.work();
    await world.happens("push");
    await world.happens("tag", { name: "v2" });
    const ran = await world.work();
    expect(ran.map(({ config }) => (config["env"] as Record<string, string>)["__sf_1"])).toEqual(['[{"name":"v2"}]']);
    const last = await world.happens("close");
    const run = await world.detail(runId);
    expect(run).toMatchObject({ status: "succeeded", jobs: [{ status: "succeeded", waiting: null }] });
    expect(run.jobs[0]).toMatchObject({ listener_status: "resolved", resolution_reason: "until" });
    expect(run.jobs[0]?.job_executions).toMatchObject([
      { sequence: 1, name: "on v1", status: "succeeded", trigger_events: [{ data: { name: "v1" } }] },
      {
        sequence: 2,
        name: "on v2",
        status: "succeeded",
        trigger_events: [{ source: "git", event: "tag", repository: null, project: null, data: { name: "v2" } }],
      },
    ]);
    const job = { workflow_run_id: runId, job_id: run.jobs[0]?.id, run_id: null, subscription_kind: "listener" };
    expect(await world.event(first)).toMatchObject({
      outcome: "routed",
      matched_count: 1,
      decisions: [
        {
          ...job,
          decision: "triggered",
          matcher_kind: "on",
          matcher_ordinal: 0,
          subscription_name: "listener on[0] git/tag",
        },
      ],
    });
    expect((await world.event(last)).decisions).toMatchObject([{ ...job, matcher_kind: "until", matcher_ordinal: 0 }]);
    expect(await world.eventsOf(runId)).toEqual([
      "job.listening",
      ...Array(2).fill(["job.event_taken", "job.queued", "job.started", "job.execution_finished"]).flat(),
      "job.resolved",
      "job.finished",
    ]);
    expect(await world.event(await world.happens("tag"))).toMatchObject({ outcome: "discarded" });
  });

  it("runs one execution after another, each with all that came meanwhile, in the order of receipt", async () => {
    const world = await start(await open());
    const runId = await world.fire(listening(TAG));
    const claimed = await world.happens("tag").then(() => world.plane.claim(world.sessionId));
    for (let index = 0; index < 3; index += 1) await world.happens("tag");
    expect(await world.plane.claim(world.sessionId)).toBeNull();
    await world.plane.finish(claimed?.executionId ?? "");
    await world.work();
    expect(payloadsOf(await world.detail(runId))).toEqual([[1], [2, 3, 4]]);
  });

  it("lets what runs end when it resolves, drops what waits, and then lets those go on that need it", async () => {
    const world = await start(await open());
    const after = `  after:\n    needs: listen\n    steps: [{ name: after, run: "true" }]\n`;
    const runId = await world.fire(listening(TAG, "", after));
    await world.happens("tag");
    const claimed = await world.plane.claim(world.sessionId);
    await world.happens("tag");
    await world.happens("close");
    expect((await world.detail(runId)).jobs).toMatchObject([
      { key: "after", status: "pending", waiting: { reason: "needs" } },
      { key: "listen", status: "running", listener_status: "resolved", resolution_reason: "until" },
    ]);
    await world.plane.finish(claimed?.executionId ?? "");
    expect((await world.work()).map(({ job }) => job)).toEqual(["after"]);
    expect(payloadsOf(await world.detail(runId))).toEqual([[1]]);
    expect((await world.plane.run(runId)).status).toBe("succeeded");
  });

  it("ends what runs when it resolves and says so", async () => {
    const world = await start(await open());
    const runId = await world.fire(listening(TAG.replace("{ on:", "{ on_resolve: cancel, on:")));
    await world.happens("tag");
    const claimed = await world.plane.claim(world.sessionId);
    await world.happens("close");
    expect(await world.detail(runId)).toMatchObject({
      status: "succeeded",
      jobs: [{ status: "succeeded", job_executions: [{ status: "cancelled", status_reason: "run_cancelled" }] }],
    });
    expect(await world.plane.heartbeat(claimed?.fence ?? 0)).toMatchObject({ cancel: true });
  });

  it("takes an event that is for both as its end, asks filters with what was when it began, and counts errors as no", async () => {
    const world = await start(await open());
    const listens = `{
      on: [{ source: git, event: tag, filter: "event.n > inputs.least && jobs.build.outputs.v == 'x'" }],
      until: [{ source: git, event: tag, filter: event.none == 1 }, { source: git, event: tag, filter: event.last == true }] }`;
    const build = `  build:\n    outputs: { v: "\${{ steps.make.outputs.v }}" }\n    steps: [{ key: make, name: make, run: "true" }]\n`;
    const runId = await world.fire(listening(listens, "    needs: build\n", build), {
      inputs: { least: 1 },
    });
    expect((await world.detail(runId)).jobs[1]).toMatchObject({ status: "pending", listener_status: "inactive" });
    expect((await world.event(await world.happens("tag", { n: 9 }))).outcome).toBe("discarded");
    await world.work(() => ({ outputs: { v: "x" } }));
    const low = await world.happens("tag", { n: 1, last: false, none: 0 });
    expect(await world.event(low)).toMatchObject({ outcome: "discarded", decisions: [] });
    const high = await world.happens("tag", { n: 2, last: false });
    expect((await world.event(high)).decisions).toMatchObject([
      { matcher_kind: "until", matcher_ordinal: 0, decision: "filter-error", reason: expect.stringContaining("none") },
      { matcher_kind: "on", matcher_ordinal: 0, decision: "triggered", reason: null },
    ]);
    const both = await world.happens("tag", { n: 3, last: true, none: 0 });
    expect((await world.event(both)).decisions).toMatchObject([{ matcher_kind: "until", matcher_ordinal: 1 }]);
    await world.work();
    expect((await world.plane.run(runId)).status).toBe("succeeded");
    expect(payloadsOf(await world.detail(runId))).toEqual([[2]]);
  });

  it("is over when its time is, and after its executions, with what each gave the newest success", async () => {
    const world = await start(await open());
    const outputs = "    outputs: { n: '${{ steps.work.outputs.n }}' }\n";
    const byTime = await world.fire(listening("{ on: [{ source: git, event: tag }], timeout: 1h }", outputs));
    const byCount = await world.fire(listening("{ on: [{ source: git, event: tag }], max_executions: 2 }", outputs));
    for (const n of ["1", "2"]) {
      await world.happens("tag");
      await world.work(() => ({ outputs: { n } }));
    }
    expect((await world.detail(byCount)).jobs[0]).toMatchObject({
      status: "succeeded",
      resolution_reason: "max_executions",
      outputs: { n: "2" },
    });
    const due = (await world.plane.runDue(world.clock.now())) ?? 0;
    await world.plane.runDue(due - 1);
    expect((await world.detail(byTime)).jobs[0]?.listener_status).toBe("listening");
    await world.plane.runDue(due);
    expect((await world.detail(byTime)).jobs[0]).toMatchObject({
      status: "succeeded",
      resolution_reason: "timeout",
      outputs: { n: "2" },
    });
  });

  it("fails with an execution that failed, unless its own condition says otherwise", async () => {
    const world = await start(await open());
    const strict = await world.fire(listening(TAG));
    const mild = await world.fire(
      listening(TAG, `    success: executions.exists(e, e.status == "succeeded" && e.index == 1)\n`),
    );
    await world.happens("tag");
    await world.work(() => ({ exit: 3 }));
    await world.happens("tag");
    await world.work();
    await world.happens("close");
    expect(await world.detail(strict)).toMatchObject({
      status: "failed",
      jobs: [{ status: "failed", status_reason: "step_failed", failure_class: "user" }],
    });
    expect(await world.detail(mild)).toMatchObject({ status: "succeeded", jobs: [{ status: "succeeded" }] });
  });

  it("gives an execution that lost its runner to another one, with the same events and in the same place", async () => {
    const world = await start(await open());
    const runId = await world.fire(listening(TAG, "    success: executions.all(e, e.status == 'succeeded')\n"));
    await world.happens("tag");
    await world.plane.claim(world.sessionId);
    await world.happens("tag");
    // A new session of the same runner ends what the former one had.
    const lost = await world.plane.run(runId);
    await world.store.write((tx) =>
      executionLost(
        tx,
        world.plane.dispatch.runs,
        lost.executions[0]?.id ?? "",
        { cause: "runner_lost", message: "gone", avoidedSessionId: null },
        Date.now(),
      ),
    );
    const ran = await world.work();
    expect(ran.map(({ config }) => (config["env"] as Record<string, string>)["__sf_0"])).toEqual(["0", "1"]);
    await world.happens("close");
    const run = await world.detail(runId);
    expect(payloadsOf(run)).toEqual([[1], [1], [2]]);
    expect(run.jobs[0]?.job_executions.map(({ status, retry_of }) => [status, retry_of !== null])).toEqual([
      ["failed", false],
      ["succeeded", true],
      ["succeeded", false],
    ]);
    expect(run.status).toBe("succeeded");
  });

  it("collects a batch: so many, after a pause, or when the first has waited long enough", async () => {
    const world = await start(await open());
    const batch = "batch: { max_size: 3, debounce: 10s, max_wait: 15s }";
    const runId = await world.fire(listening(TAG.replace("{ on:", `{ ${batch}, on:`)));
    for (let index = 0; index < 4; index += 1) await world.happens("tag");
    await world.work();
    expect(payloadsOf(await world.detail(runId))).toEqual([[1, 2, 3]]);
    const quietAt = world.clock.now() + 10_000;
    expect(await world.plane.runDue(quietAt - 1)).toBe(quietAt);
    expect(payloadsOf(await world.detail(runId))).toHaveLength(1);
    await world.plane.runDue(quietAt);
    await world.work();
    expect(payloadsOf(await world.detail(runId))).toEqual([[1, 2, 3], [4]]);
    await world.happens("tag");
    const overdueAt = world.clock.now() + 15_000;
    world.clock.advance(9_000);
    await world.happens("tag");
    expect(await world.plane.runDue(overdueAt - 1)).toBe(overdueAt);
    await world.plane.runDue(overdueAt);
    await world.work();
    expect(payloadsOf(await world.detail(runId))).toEqual([[1, 2, 3], [4], [5, 6]]);
  });

  it("fails an execution that cannot be made, and listens on", async () => {
    const world = await start(await open());
    const runner = `    runner: ["linux", "\${{ execution.events[0].data.label }}"]\n`;
    const runId = await world.fire(listening(TAG, runner));
    await world.happens("tag", { n: 1, label: "no label" });
    await world.happens("tag", { n: 2 });
    await world.happens("tag", { n: 3, label: "linux" });
    expect(await world.work()).toHaveLength(1);
    const job = (await world.detail(runId)).jobs[0];
    expect(job?.listener_status).toBe("listening");
    expect(job?.job_executions).toMatchObject([
      { status: "failed", status_reason: "unknown", status_reason_message: expect.stringContaining("no label") },
      { status: "failed", status_reason: "unknown", status_reason_message: expect.stringContaining("label") },
      { status: "succeeded", runner: ["linux"] },
    ]);
  });

  it("can check out what an event is about", async () => {
    const world = await start(await open());
    const checkout = `      - { name: sources, checkout: { ref: "\${{ execution.events[0].commit }}", path: app } }\n`;
    await world.fire(listening(TAG).replace("    steps:\n", `    steps:\n${checkout}`));
    const reference = { repository: "acme/app", ref: "refs/tags/v1", commit: "c".repeat(40), actor: null };
    await world.happens("tag", {}, { repository: { id: `git:${world.plane.projectId}`, reference } });
    const [sources] = await world.work();
    expect(sources?.config).toMatchObject({ checkout: { ref: "c".repeat(40) } });
    const [job] = (await world.detail((await world.item()).id)).jobs;
    expect(job?.job_executions[0]?.trigger_events).toMatchObject([
      { project: { id: world.plane.projectId }, repository: "acme/app", ref: "refs/tags/v1", commit: "c".repeat(40) },
    ]);
  });

  it("reads variables anew for each execution, while its filters keep those of the run", async () => {
    const world = await start(await open());
    const yaml = listening(
      `{ on: [{ source: git, event: tag, filter: vars.WANTED == 'yes' }], until: [{ source: git, event: close }] }`,
    ).replace("echo ", "echo ${{ vars.NAME }} ");
    const set = (name: string) => world.plane.variables.set("NAME", name).set("WANTED", name);
    const variables = { NAME: "first", WANTED: "yes" };
    await world.fire(yaml, { variables });
    const seen: unknown[] = [];
    for (const name of ["second", "third"]) {
      set(name);
      await world.happens("tag");
      seen.push(...(await world.work()).map(({ config }) => (config["env"] as Record<string, string>)["__sf_0"]));
    }
    expect(seen).toEqual(["second", "third"]);
    world.plane.variables.clear();
    await world.happens("tag");
    const { executions } = await world.plane.run((await world.item()).id);
    expect(executions.at(-1)).toMatchObject({
      status: "failed",
      status_reason_message: expect.stringContaining("vars."),
    });
  });

  it("takes an event once, also when it is routed again, by two processes or after a replay", async () => {
    const world = await start(await open());
    const runId = await world.fire(listening(TAG));
    world.clock.advance(10);
    const id = await world.receive({ event: "tag", payload: { n: 1 } });
    await Promise.all([1, 2, 3].map(() => world.routing().runDue(world.clock.now())));
    await world.work();
    await world.api.call("POST", `/trigger-events/${id}/replay`, { user: world.user });
    await world.route();
    await world.work();
    expect(payloadsOf(await world.detail(runId))).toEqual([[1]]);
    expect((await world.event(id)).decisions).toHaveLength(1);
  });

  it("hears nothing of before it listened, nor what started its run, but what is replayed for it", async () => {
    const world = await start(await open());
    const before = await world.happens("tag", { n: 7 });
    const yaml = listening(TAG).replace("jobs:", "triggers:\n  on_tag: { source: git, event: tag }\njobs:");
    await world.save(yaml);
    await world.happens("tag", { n: 8 });
    const [run] = await world.runs();
    expect(payloadsOf(await world.detail(run?.id ?? ""))).toEqual([]);
    await world.store.write((tx) => tx.run("delete from trigger_subscriptions"));
    await world.api.call("POST", `/trigger-events/${before}/replay`, { user: world.user });
    await world.route();
    await world.work();
    expect(payloadsOf(await world.detail(run?.id ?? ""))).toEqual([[7]]);
  });

  it("takes no more than fits, says so, and takes it when it is replayed", async () => {
    const world = await start(await open());
    const runId = await world.fire(listening(TAG.replace("{ on:", "{ batch: { max_size: 9 }, on:")));
    await world.happens("tag");
    // As if it were very large.
    await world.store.write((tx) => tx.run("update listener_events set bytes = 4194304"));
    const refused = await world.happens("tag");
    expect(await world.event(refused)).toMatchObject({
      outcome: "errored",
      decisions: [{ decision: "dispatch-error", reason: expect.stringMatching(/^listener-full: /) }],
    });
    await world.store.write((tx) => tx.run("update listener_events set bytes = 1"));
    await world.api.call("POST", `/trigger-events/${refused}/replay`, { user: world.user });
    await world.route();
    for (let index = 0; index < 7; index += 1) await world.happens("tag");
    await world.work();
    expect(payloadsOf(await world.detail(runId))).toEqual([[1, 2, 3, 4, 5, 6, 7, 8, 9]]);
  });

  it("keeps the payloads of its newest executions, and no more than it shows", async () => {
    const world = await start(await open());
    const runId = await world.fire(listening(TAG));
    for (let index = 0; index < 3; index += 1) {
      const id = await world.happens("tag");
      // As if they were large: two of them are shown.
      await world.store.write((tx) => tx.run("update listener_events set bytes = 2000000 where event_id = ?", [id]));
      await world.work();
    }
    const data = (run: RunDetail) =>
      run.jobs[0]?.job_executions.map(({ trigger_events: [event] }) => event?.data ?? null);
    expect(data(await world.detail(runId))).toEqual([null, { n: 2 }, { n: 3 }]);
    await world.happens("tag");
    const kept = await world.store.read((tx) =>
      tx.all<{ data: string }>("select data from listener_events order by received_at, event_id"),
    );
    expect(kept.map((row) => row.data)).toEqual(["null", '{"n":2}', '{"n":3}', '{"n":4}']);
  });

  it("takes what somebody without rights made only once it is approved", async () => {
    const world = await start(await open());
    const runId = await world.fire(listening(TAG));
    const id = await world.happens("tag", { n: 1 }, { untrusted: true });
    expect(payloadsOf(await world.detail(runId))).toEqual([]);
    const { approval } = await world.event(id);
    expect(approval?.status).toBe("waiting");
    const body = { commit: null, workflows_hash: approval?.workflows_hash };
    await world.api.call("POST", `/trigger-events/${id}/approve`, { user: world.user, body });
    await world.route();
    await world.work();
    expect(payloadsOf(await world.detail(runId))).toEqual([[1]]);
    // As if the process had died before it wrote down that all had been asked.
    const unsettled = "update trigger_events set outcome = 'received', processed_at = null, due_at = ? where id = ?";
    await world.store.write((tx) => tx.run(unsettled, [world.clock.now(), id]));
    await world.route();
    expect(await world.event(id)).toMatchObject({ outcome: "routed", approval: { status: "approved" } });
    expect((await world.event(id)).decisions).toHaveLength(1);
  });

  it("ends with its run, and listens anew in a rerun", async () => {
    const world = await start(await open());
    const later = listening(TAG, "    needs: listen\n").split("jobs:\n")[1]?.replace("listen:", "later:") ?? "";
    const runId = await world.fire(`${listening(TAG)}${later}`);
    await world.happens("tag");
    await world.plane.claim(world.sessionId);
    await world.plane.cancel(runId);
    expect(await world.detail(runId)).toMatchObject({
      status: "cancelled",
      jobs: [
        { status: "cancelled", listener_status: "resolved", resolution_reason: "cancelled" },
        { status: "cancelled", listener_status: "resolved", resolution_reason: "cancelled", job_executions: [] },
      ],
    });
    expect(await world.event(await world.happens("tag"))).toMatchObject({ outcome: "discarded" });
    await world.plane.rerun(runId, "all");
    await world.happens("tag");
    expect(payloadsOf(await world.detail(runId))).toEqual([[3]]);
    expect(await world.item()).toMatchObject({
      jobs: [
        { key: "listen", mode: "listening", listener_status: "listening", execution_status: "pending" },
        { key: "later", mode: "listening", listener_status: "inactive", execution_status: null },
      ],
      job_display_status_counts: expect.arrayContaining([
        { status: "listening", count: 1 },
        { status: "pending", count: 1 },
      ]),
    });
  });

  it("is skipped as any other, and shows what it was when it is carried over", async () => {
    const world = await start(await open());
    const runId = await world.fire(
      listening(TAG, "", `  broken:\n    steps: [{ name: broken, run: "true" }]\n`).concat(
        listening(TAG, "    needs: broken\n").split("jobs:\n")[1]?.replace("listen:", "never:") ?? "",
      ),
    );
    await world.work(() => ({ exit: 1 }));
    await world.happens("tag");
    await world.work();
    await world.happens("close");
    expect((await world.detail(runId)).jobs).toMatchObject([
      { key: "broken", status: "failed" },
      { key: "listen", status: "succeeded" },
      { key: "never", status: "skipped", listener_status: "inactive", job_executions: [] },
    ]);
    await world.plane.rerun(runId, "failed");
    expect((await world.detail(runId)).jobs[1]).toMatchObject({
      carried_over: true,
      status: "succeeded",
      listener_status: "resolved",
      resolution_reason: "until",
      job_executions: [{ sequence: 1 }],
    });
  });
});
