import { expect, it } from "vitest";
import { describeStores } from "./store/testing.ts";
import { insertMember, insertUser } from "./testing/rows.ts";
import { startTriggers, triggered } from "./triggers.fixture.ts";

const ON_PULL_REQUEST = "  on_pull: { source: git, event: pull_request.opened }\n";
const FIRST = "a".repeat(40);
const SECOND = "b".repeat(40);

describeStores("an event that somebody without rights made", (open) => {
  async function start() {
    const store = await open();
    const world = await startTriggers(store);
    const { projectId } = world.plane;
    let changes = 0;
    return {
      ...world,
      store,
      /** A pull request from a fork, at this commit; later calls tell of later states unless `at` says otherwise. */
      propose: (commit: string, at = (changes += 1)) =>
        world.receive({
          event: "pull_request.opened",
          untrusted: true,
          repository: {
            id: `git:${projectId}`,
            reference: { repository: "acme/app", ref: "refs/pull/7/head", commit, actor: "stranger" },
            subject: { name: "pull 7", at },
          },
        }),
      route: () => world.routing().runDue(world.clock.now()),
      approve: async (id: string, changed: Record<string, unknown> = {}, user = world.user) => {
        const { approval } = await world.event(id);
        const body = {
          commit: approval?.commit ?? null,
          workflows_hash: approval?.workflows_hash ?? "none",
          ...changed,
        };
        return world.api.call("POST", `/trigger-events/${id}/approve`, { user, body });
      },
    };
  }

  it("starts nothing until it is approved, and then runs of that commit", async () => {
    const world = await start();
    await world.save(triggered("CI", ON_PULL_REQUEST));
    const id = await world.propose(FIRST);
    await world.route();
    expect(await world.runs()).toEqual([]);
    expect(await world.event(id)).toMatchObject({
      outcome: "received",
      matched_count: 1,
      processed_at: null,
      decisions: [],
      approval: { status: "waiting", commit: FIRST, approved_by: null },
    });
    expect((await world.api.call("POST", `/trigger-events/${id}/replay`, { user: world.user })).status).toBe(409);

    expect(await world.approve(id)).toMatchObject({ status: 202, body: { approval: { status: "approved" } } });
    expect(await world.approve(id)).toMatchObject({ status: 409, body: { code: "approval-not-waiting" } });
    await world.route();
    await world.route();
    expect(await world.runs()).toMatchObject([{ name: "CI", pinned_commit: FIRST }]);
    expect(await world.event(id)).toMatchObject({
      outcome: "routed",
      approval: { status: "approved", commit: FIRST, approved_by: world.user },
      decisions: [{ decision: "triggered" }],
    });
    const audited = await world.store.read((tx) => tx.all<{ action: string }>("select action from audit_events"));
    expect(audited.map(({ action }) => action)).toContain("trigger-event.approved");
  });

  it("does not wait when nothing wants it", async () => {
    const world = await start();
    await world.save(triggered("CI", "  on_push: { source: git, event: push }\n"));
    const id = await world.propose(FIRST);
    await world.route();
    expect(await world.event(id)).toMatchObject({ outcome: "discarded", approval: null });
    expect(await world.approve(id)).toMatchObject({ status: 409, body: { code: "approval-not-waiting" } });
  });

  it("is approved by those who may start runs, for the commit and the workflows that they saw", async () => {
    const world = await start();
    await world.save(triggered("CI", ON_PULL_REQUEST));
    const id = await world.propose(FIRST);
    await world.route();
    const { workspaceId } = world.plane;
    expect((await world.approve(id, {}, await insertUser(world.store))).status).toBe(404);
    expect((await world.approve(id, {}, await insertMember(world.store, workspaceId, "viewer"))).status).toBe(403);
    for (const changed of [{ commit: SECOND }, { commit: null }, { workflows_hash: "0".repeat(64) }]) {
      expect(await world.approve(id, changed)).toMatchObject({ status: 409, body: { code: "approval-outdated" } });
    }
    expect((await world.approve(id, { commit: "main" })).status).toBe(400);
    await world.route();
    expect(await world.runs()).toEqual([]);
  });

  it("waits anew after a push, whatever was waiting or approved before", async () => {
    const world = await start();
    await world.save(triggered("CI", ON_PULL_REQUEST));
    const waiting = await world.propose(FIRST);
    await world.route();
    const pushed = await world.propose(SECOND);
    // The newer one counts from when it was stored, though nobody has looked at it yet.
    expect(await world.approve(waiting)).toMatchObject({ status: 409, body: { code: "approval-outdated" } });
    await world.route();
    expect(await world.event(waiting)).toMatchObject({ outcome: "discarded", approval: { status: "superseded" } });
    expect(await world.event(pushed)).toMatchObject({ approval: { status: "waiting", commit: SECOND } });

    expect((await world.approve(pushed)).status).toBe(202);
    const third = await world.propose("c".repeat(40));
    await world.route();
    expect(await world.runs()).toEqual([]);
    expect(await world.event(pushed)).toMatchObject({ outcome: "discarded", approval: { status: "superseded" } });
    expect(await world.event(third)).toMatchObject({ approval: { status: "waiting" } });
  });

  it("is not overridden by an older one that arrives late", async () => {
    const world = await start();
    await world.save(triggered("CI", ON_PULL_REQUEST));
    const newer = await world.propose(SECOND, 20);
    await world.route();
    const late = await world.propose(FIRST, 10);
    await world.route();
    expect(await world.event(late)).toMatchObject({ outcome: "discarded", approval: { status: "superseded" } });
    expect(await world.event(newer)).toMatchObject({ approval: { status: "waiting", commit: SECOND } });
    expect((await world.approve(newer)).status).toBe(202);
    await world.route();
    expect(await world.runs()).toMatchObject([{ pinned_commit: SECOND }]);
  });

  it("waits anew when a workflow changes between the approval and the start", async () => {
    const world = await start();
    const yaml = triggered("CI", ON_PULL_REQUEST);
    await world.save(yaml);
    const id = await world.propose(FIRST);
    await world.route();
    const before = (await world.event(id)).approval?.workflows_hash;
    expect((await world.approve(id)).status).toBe(202);
    await world.save(yaml.replace("'true'", "./deploy.sh"));
    await world.route();
    expect(await world.runs()).toEqual([]);
    const { approval } = await world.event(id);
    expect(approval).toMatchObject({ status: "waiting", approved_by: null });
    expect(approval?.workflows_hash).not.toBe(before);
    expect((await world.approve(id)).status).toBe(202);
    await world.route();
    expect(await world.runs()).toHaveLength(1);
  });

  it("waits again each time that it is closed and opened", async () => {
    const world = await start();
    await world.save(triggered("CI", ON_PULL_REQUEST));
    const first = await world.propose(FIRST);
    await world.route();
    await world.approve(first);
    await world.route();
    const again = await world.propose(FIRST);
    await world.route();
    expect(await world.event(again)).toMatchObject({ approval: { status: "waiting", commit: FIRST } });
    expect(await world.runs()).toHaveLength(1);
  });

  it("goes on where it was when the process dies in the middle of the starts", async () => {
    const world = await start();
    for (const file of ["a", "b", "c"]) await world.save(triggered(file, ON_PULL_REQUEST), `${file}.yml`);
    const id = await world.propose(FIRST);
    await world.route();
    await world.approve(id);
    let left = 1;
    const dying = await startTriggers(world.store, async (tx, run) => {
      if (left === 0) throw new Error("the process dies here");
      left -= 1;
      return world.start(tx, run);
    });
    await dying.routing().runDue(world.clock.now());
    expect(await world.runs()).toHaveLength(1);
    world.clock.advance(60_000);
    await world.route();
    expect((await world.runs()).map(({ name }) => name).sort()).toEqual(["a", "b", "c"]);
    expect(await world.event(id)).toMatchObject({ outcome: "routed", matched_count: 3 });
  });
});
