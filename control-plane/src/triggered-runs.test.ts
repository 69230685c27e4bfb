import { expect, it } from "vitest";
import type { StartTriggered } from "./modules/triggers/public.ts";
import { describeStores } from "./store/testing.ts";
import { insertMember, insertUser } from "./testing/rows.ts";
import { startTriggers, triggered } from "./triggers.fixture.ts";

const ON_PUSH = "  on_push: { source: git, event: push }\n";
const COMMIT = "a".repeat(40);
const filtered = (filter: string) => `  on_push: { source: git, event: push, filter: ${JSON.stringify(filter)} }\n`;

describeStores("a stored event", (open) => {
  it("starts a run of every workflow that names its source and event, with its payload", async () => {
    const world = await startTriggers(await open());
    const definition = await world.save(
      triggered("CI", "  on_push: { source: git, event: push, with: { level: 1 } }\n"),
    );
    await world.save(triggered("Other source", "  on: { source: elsewhere, event: push }\n"), "a.yml");
    await world.save(triggered("Other event", "  on: { source: git, event: tag }\n"), "b.yml");
    await world.save(triggered("Also", ON_PUSH), "c.yml");
    const id = await world.receive();
    expect(await world.event(id)).toMatchObject({ outcome: "received", processed_at: null, decisions: [] });
    await world.routing().runDue(world.clock.now());

    const runs = await world.runs();
    expect(runs.map((run) => run.name).sort()).toEqual(["Also", "CI"]);
    const run = runs.find(({ name }) => name === "CI");
    expect(run).toMatchObject({
      definition_id: definition,
      trigger_provider: "git",
      trigger_source: "git",
      trigger_event: "push",
      inputs: '{"level":1}',
    });
    expect(JSON.parse(run?.trigger_payload ?? "")).toEqual({
      provider: "git",
      source: "git",
      event: "push",
      deliveryId: "delivery 1",
      data: { ref: "refs/heads/main" },
    });
    const event = await world.event(id);
    expect(event).toMatchObject({ outcome: "routed", matched_count: 2, pass: 1 });
    expect(event.decisions).toHaveLength(2);
    expect(event.decisions).toContainEqual(
      expect.objectContaining({
        decision: "triggered",
        subscription_kind: "trigger",
        subscription_name: "on_push",
        workflow_definition_id: definition,
        project_id: world.plane.projectId,
        run_id: run?.id,
        run_name: "CI",
        reason: null,
      }),
    );
  });

  it("starts a run for each trigger of a workflow that matches, and is discarded when none does", async () => {
    const world = await startTriggers(await open());
    await world.save(triggered("CI", "  one: { source: git, event: push }\n  two: { source: git, event: push }\n"));
    await world.receive();
    const nobody = await world.receive({ event: "tag" });
    await world.routing().runDue(world.clock.now());
    expect(await world.runs()).toHaveLength(2);
    expect(await world.event(nobody)).toMatchObject({ outcome: "discarded", matched_count: 0, decisions: [] });
    expect((await world.event(nobody)).processed_at).not.toBeNull();
  });

  it.each([
    ["event.ref == 'refs/heads/main'", "routed", null],
    ["trigger.source == 'git' && trigger.event == 'push'", "routed", null],
    ["event.ref == 'refs/heads/other'", "discarded", null],
    ["event.commits.exists(c, c.startsWith('a'))", "routed", null],
    ["event.missing == 1", "errored", "No such key: missing"],
    [
      "range(0, 999, 1).all(a, range(0, 999, 1).all(b, range(0, 999, 1).all(c, true)))",
      "errored",
      "expression-timeout",
    ],
  ])("asks the filter %s: %s", async (filter, outcome, reason) => {
    const world = await startTriggers(await open());
    await world.save(triggered("CI", filtered(filter)));
    const id = await world.receive({ payload: { ref: "refs/heads/main", commits: ["abc"] } });
    await world.routing().runDue(world.clock.now());
    const event = await world.event(id);
    expect(event.outcome).toBe(outcome);
    expect(await world.runs()).toHaveLength(outcome === "routed" ? 1 : 0);
    if (reason === null) return;
    expect(event.decisions).toMatchObject([{ decision: "filter-error", run_id: null }]);
    expect(event.decisions[0]?.reason).toContain(reason);
  });

  it("starts nothing of what is archived, removed, changed, of another branch or another workspace", async () => {
    const store = await open();
    const world = await startTriggers(store);
    const archived = await world.plane.addProject();
    await world.save(triggered("Archived", ON_PUSH), "ci.yml", archived);
    await store.write((tx) => tx.run("update projects set archived_at = 1 where id = ?", [archived]));
    const removed = await world.save(triggered("Removed", ON_PUSH), "removed.yml");
    await store.write((tx) => tx.run("update definitions set deleted_at = 1 where id = ?", [removed]));
    await world.save(triggered("Changed", ON_PUSH), "changed.yml");
    await world.save(triggered("Changed", "  on_push: { source: git, event: tag }\n"), "changed.yml");
    const branch = await world.save(triggered("Branch", ON_PUSH), "branch.yml");
    await store.write((tx) => tx.run("update definitions set ref = 'feature' where id = ?", [branch]));
    const other = await startTriggers(store);
    await other.save(triggered("Foreign", ON_PUSH));
    const id = await world.receive();
    await world.routing().runDue(world.clock.now());
    expect(await world.event(id)).toMatchObject({ outcome: "discarded" });
    expect(await world.runs()).toEqual([]);
  });

  it("says why no run could be created, and tries no second time", async () => {
    const world = await startTriggers(await open());
    const yaml = triggered("CI", ON_PUSH).replace("'true' }", "'true', if: '${{ vars.A == \"1\" }}' }");
    const definition = await world.save(yaml);
    // Whatever a version cannot run: a plan that says so.
    const plan = JSON.stringify({ kind: "workflow", name: "CI", manualTrigger: null, jobs: [], notRunnable: [] });
    await world.plane.store.write((tx) => tx.run("update definitions set model = ? where id = ?", [plan, definition]));
    await world.save(triggered("Other", ON_PUSH), "other.yml");
    const id = await world.receive();
    await world.routing().runDue(world.clock.now());
    const event = await world.event(id);
    expect(event).toMatchObject({ outcome: "routed", matched_count: 2 });
    expect(event.decisions.map(({ decision }) => decision).sort()).toEqual(["dispatch-error", "triggered"]);
    expect(event.decisions.find(({ decision }) => decision === "dispatch-error")).toMatchObject({
      run_id: null,
      reason: expect.stringMatching(/^not-runnable-yet: /),
    });
    expect(await world.runs()).toHaveLength(1);
  });

  it("is routed to its end by a later process when the first died in the middle, without a second run", async () => {
    const store = await open();
    let left = 1;
    const dying: StartTriggered = async (tx, run) => {
      if (left === 0) throw new Error("the process dies here");
      left -= 1;
      return world.start(tx, run);
    };
    const world = await startTriggers(store);
    for (const file of ["a", "b", "c"]) await world.save(triggered(file, ON_PUSH), `${file}.yml`);
    const id = await world.receive();
    const first = await startTriggers(store, dying);
    await first.routing().runDue(world.clock.now());
    expect(await world.runs()).toHaveLength(1);
    const halfway = await world.event(id);
    expect(halfway).toMatchObject({ outcome: "failed", processed_at: null, matched_count: 1 });

    world.clock.advance(60_000);
    await world.routing().runDue(world.clock.now());
    expect((await world.runs()).map((run) => run.name).sort()).toEqual(["a", "b", "c"]);
    expect(await world.event(id)).toMatchObject({ outcome: "routed", matched_count: 3 });
  });

  it("is one run when two processes route it at once", async () => {
    const world = await startTriggers(await open());
    await world.save(triggered("CI", ON_PUSH));
    for (let index = 0; index < 5; index += 1) await world.receive();
    await Promise.all([1, 2, 3].map(() => world.routing().runDue(world.clock.now())));
    expect(await world.runs()).toHaveLength(5);
    expect((await world.events()).map(({ outcome }) => outcome)).toEqual(Array(5).fill("routed"));
  });

  it("starts the runs of one workspace in the order in which it came", async () => {
    const world = await startTriggers(await open());
    await world.save(triggered("CI", ON_PUSH));
    for (let index = 0; index < 60; index += 1) await world.receive({ payload: { index } });
    while ((await world.routing().runDue(world.clock.now())) !== null);
    const order = (await world.runs()).toSorted((a, b) => a.number - b.number);
    expect(order.map((run) => JSON.parse(run.trigger_payload).data.index)).toEqual([...Array(60).keys()]);
  });

  it("is what the expressions of its run see", async () => {
    const world = await startTriggers(await open());
    const name = "run_name: ${{ event.ref }} ${{ event.count + 1 }} ${{ trigger.repository }} ${{ inputs.level }}\n";
    await world.save(name + triggered("CI", "  on: { source: git, event: push, with: { level: 2 } }\n"));
    const reference = { repository: "acme/app", ref: null, commit: null, actor: null };
    await world.receive({ payload: { ref: "main", count: 4 }, repository: { id: "git:x", reference } });
    await world.routing().runDue(world.clock.now());
    expect((await world.runs()).map((run) => run.name)).toEqual(["main 5 acme/app 2"]);
  });

  it("checks out its own commit where the project is its repository, and the newest elsewhere", async () => {
    const world = await startTriggers(await open());
    const other = await world.plane.addProject();
    await world.save(triggered("Own", ON_PUSH));
    await world.save(triggered("Other", ON_PUSH), "ci.yml", other);
    const reference = { repository: "acme/app", ref: "refs/heads/main", commit: COMMIT, actor: "ada" };
    await world.receive({ repository: { id: `git:${world.plane.projectId}`, reference } });
    await world.routing().runDue(world.clock.now());
    const runs = await world.runs();
    expect(runs.map((run) => `${run.name} ${run.pinned_commit}`).sort()).toEqual(["Other null", `Own ${COMMIT}`]);
    for (const run of runs) expect(JSON.parse(run.trigger_reference ?? "")).toEqual(reference);
  });
});

describeStores("a replay of an event", (open) => {
  it("starts what matches now once more, and keeps what was decided before", async () => {
    const world = await startTriggers(await open());
    await world.save(triggered("CI", ON_PUSH));
    const id = await world.receive();
    await world.routing().runDue(world.clock.now());
    await world.save(triggered("New", ON_PUSH), "new.yml");
    const replay = () => world.api.call("POST", `/trigger-events/${id}/replay`, { user: world.user });
    expect(await replay()).toMatchObject({
      status: 202,
      body: { id, outcome: "received", pass: 2, processed_at: null },
    });
    expect(await replay()).toMatchObject({ status: 409, body: { code: "trigger-event-pending" } });
    expect(world.armed.at(-1)).toBe(world.clock.now());
    await world.routing().runDue(world.clock.now());
    await world.routing().runDue(world.clock.now());
    const event = await world.event(id);
    expect(event).toMatchObject({ outcome: "routed", matched_count: 2, pass: 2 });
    expect(event.decisions.map(({ pass, run_name: name }) => `${pass} ${name}`).sort()).toEqual([
      "1 CI",
      "2 CI",
      "2 New",
    ]);
    expect(await world.runs()).toHaveLength(3);
  });

  it("is for those who may start runs", async () => {
    const world = await startTriggers(await open());
    const id = await world.receive();
    await world.routing().runDue(world.clock.now());
    const { store, workspaceId } = world.plane;
    const replay = (user: string) => world.api.call("POST", `/trigger-events/${id}/replay`, { user });
    expect((await replay(await insertUser(store))).status).toBe(404);
    expect((await replay(await insertMember(store, workspaceId, "viewer"))).status).toBe(403);
    expect((await world.event(id)).pass).toBe(1);
  });
});
