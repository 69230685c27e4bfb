import { expect, it } from "vitest";
import { describeStores } from "./store/testing.ts";
import { startTriggers, triggered } from "./triggers.fixture.ts";

const COMMIT = "a".repeat(40);
const ON_PUSH = "  on_push: { source: git, event: push }\n";
const after = (workflow: string, event = "completed", more = "") =>
  `  after: { source: workflow, event: ${event}, config: { workflow: ${workflow} }${more} }\n`;
const published = (name: string, triggers: string) =>
  `name: ${name}\ntriggers:\n${triggers}jobs:\n  build:\n    runner: linux\n    outputs: { image: "\${{ steps.make.outputs.image }}" }
    steps: [{ key: make, run: 'true', outputs: { image: { type: string } } }]\n`;

describeStores("a run that starts when a run of another workflow ends", (open) => {
  async function start() {
    const world = await startTriggers(await open());
    const { sessionId } = await world.plane.register();
    const { projectId, store } = world.plane;
    const route = async () => {
      // Past the ends of runs, which have the time of the machine.
      world.clock.advance(60_000);
      await world.routing().runDue(world.clock.now());
    };
    return {
      ...world,
      store,
      push: (untrusted = false, commit = COMMIT) =>
        world.receive({
          untrusted,
          repository: {
            id: `git:${projectId}`,
            reference: { repository: "acme/app", ref: "refs/heads/topic", commit, actor: "ada" },
          },
        }),
      route,
      work: (...script: Parameters<typeof world.plane.work> extends [string, ...infer Rest] ? Rest : never) =>
        world.plane.work(sessionId, ...script),
      ends: async () => (await world.events()).filter(({ origin }) => origin === "workflow"),
      /** Routes and works until nothing follows any more. */
      settle: async () => {
        const size = async () => (await world.runs()).length + (await world.events()).length;
        for (let before = -1; before !== (await size()); ) {
          before = await size();
          await route();
          await world.plane.work(sessionId);
        }
      },
    };
  }

  it("has the commit of that run, and reads what became of it", async () => {
    const world = await start();
    const build = await world.save(published("Build", "  on_push: { source: git, event: push, with: { level: 1 } }\n"));
    const name = "run_name: ${{ event.run.status }} ${{ event.jobs.build.outputs.image }} ${{ trigger.event }}\n";
    await world.save(name + triggered("Deploy", after("Build")), "deploy.yml");
    await world.push();
    await world.route();
    await world.work(() => ({ outputs: { image: "app:1" } }));
    const [event, ...others] = await world.ends();
    expect(others).toEqual([]);
    expect(world.armed.length).toBeGreaterThan(0);
    await world.route();

    const [first, second] = await world.runs();
    expect(second).toMatchObject({
      name: "succeeded app:1 succeeded",
      trigger_source: "workflow",
      trigger_event: "succeeded",
      pinned_commit: COMMIT,
      ref: "refs/heads/topic",
      untrusted: 0,
      trigger_depth: 1,
    });
    expect(JSON.parse(second?.trigger_reference ?? "")).toEqual(JSON.parse(first?.trigger_reference ?? ""));
    expect(await world.event(event?.id ?? "")).toMatchObject({
      origin: "workflow",
      source: "workflow",
      event: "succeeded",
      event_ref: `${first?.id}:1`,
      outcome: "routed",
      payload: {
        run: { id: first?.id, number: 1, status: "succeeded", attempt: 1 },
        workflow: { id: build, name: "Build", path: "ci.yml" },
        trigger: {
          source: "git",
          event: "push",
          repository: "acme/app",
          ref: "refs/heads/topic",
          commit: COMMIT,
        },
        inputs: { level: 1 },
        jobs: { build: { status: "succeeded", outputs: { image: "app:1" } } },
        depth: 0,
      },
      decisions: [{ decision: "triggered", run_id: second?.id }],
    });
  });

  it.each([
    ["succeeded", 0, ["any", "succeeded"]],
    ["failed", 1, ["any", "failed"]],
  ])("waits for the end that it names: %s", async (_, exit, started) => {
    const world = await start();
    await world.save(triggered("Build", ON_PUSH));
    await world.save(triggered("any", after("Build")), "any.yml");
    for (const event of ["succeeded", "failed", "cancelled"])
      await world.save(triggered(event, after("ci.yml", event)), `${event}.yml`);
    await world.push();
    await world.route();
    await world.work(() => ({ exit }));
    await world.route();
    const names = (await world.runs()).map(({ name }) => name).filter((name) => name !== "Build");
    expect(names.sort()).toEqual(started);
  });

  it("starts after a cancelled run too, and asks its filter", async () => {
    const world = await start();
    await world.save(triggered("Build", ON_PUSH));
    await world.save(triggered("Yes", after("Build", "cancelled", ', filter: "event.run.number == 1"')), "yes.yml");
    await world.save(triggered("No", after("Build", "completed", ', filter: "event.run.number == 2"')), "no.yml");
    await world.push();
    await world.route();
    await world.plane.cancel((await world.runs())[0]?.id ?? "");
    await world.route();
    expect((await world.runs()).map(({ name }) => name)).toEqual(["Build", "Yes"]);
  });

  it("is of the same project, and no event is kept of a run that nothing waits for", async () => {
    const world = await start();
    const other = await world.plane.addProject();
    await world.save(triggered("Build", ON_PUSH));
    await world.save(triggered("Foreign", after("Build")), "ci.yml", other);
    await world.save(triggered("Wrong", after("Builds")), "wrong.yml");
    await world.push();
    await world.settle();
    expect((await world.runs()).map(({ name }) => name)).toEqual(["Build"]);
    expect(await world.ends()).toEqual([]);
    await world.save(triggered("Own", after("Build")), "own.yml");
    await world.push();
    await world.settle();
    expect((await world.runs()).map(({ name }) => name)).toEqual(["Build", "Build", "Own"]);
  });

  it("starts again for each rerun and each replay, and for nothing else", async () => {
    const world = await start();
    await world.save(triggered("Build", ON_PUSH));
    await world.save(triggered("Deploy", after("Build")), "deploy.yml");
    await world.push();
    await world.settle();
    await world.route();
    expect(await world.runs()).toHaveLength(2);
    const [build] = await world.runs();
    await world.plane.rerun(build?.id ?? "", "all");
    await world.settle();
    expect(await world.runs()).toHaveLength(3);
    const [, again] = await world.ends();
    expect(again).toMatchObject({ event_ref: `${build?.id}:2` });
    await world.api.call("POST", `/trigger-events/${again?.id}/replay`, { user: world.user });
    await world.settle();
    expect((await world.runs()).map(({ name }) => name)).toEqual(["Build", "Deploy", "Deploy", "Deploy"]);
  });

  it("has the commit that the run checked out when no event named one", async () => {
    const world = await start();
    await world.save(triggered("Build", ON_PUSH));
    await world.save(triggered("Deploy", after("Build")), "deploy.yml");
    await world.receive();
    await world.route();
    await world.store.write((tx) => tx.run("update runs set checked_out_commit = ?", [COMMIT]));
    await world.settle();
    const [, deploy] = await world.runs();
    expect(deploy).toMatchObject({ pinned_commit: COMMIT, ref: "refs/heads/main" });
  });

  it("is the last of five in a row: the sixth is refused, and the event says so", async () => {
    const world = await start();
    await world.save(triggered("Loop", ON_PUSH + after("Loop")));
    await world.push();
    await world.settle();
    const runs = await world.runs();
    expect(runs.map((run) => run.trigger_depth)).toEqual([0, 1, 2, 3, 4, 5]);
    const last = (await world.ends()).at(-1);
    expect(await world.event(last?.id ?? "")).toMatchObject({
      outcome: "errored",
      decisions: [{ decision: "dispatch-error", run_id: null, reason: expect.stringContaining("5 is the limit") }],
    });
  });

  it("waits for an approval of its own after a run of a fork, and is as untrusted", async () => {
    const world = await start();
    await world.save(triggered("CI", ON_PUSH));
    await world.save(triggered("Deploy", after("CI")), "deploy.yml");
    const proposed = await world.push(true);
    await world.route();
    const approve = async (id: string) => {
      const { approval } = await world.event(id);
      const body = { commit: approval?.commit, workflows_hash: approval?.workflows_hash };
      return (await world.api.call("POST", `/trigger-events/${id}/approve`, { user: world.user, body })).status;
    };
    expect(await approve(proposed)).toBe(202);
    await world.settle();
    expect((await world.runs()).map(({ name }) => name)).toEqual(["CI"]);
    const [ended] = await world.ends();
    const id = ended?.id ?? "";
    expect(await world.event(id)).toMatchObject({ untrusted: true, approval: { status: "waiting", commit: COMMIT } });

    expect(await approve(id)).toBe(202);
    await world.settle();
    expect(await world.runs()).toMatchObject([{ name: "CI" }, { name: "Deploy", pinned_commit: COMMIT, untrusted: 1 }]);
    // A replay takes the approval back with it.
    await world.api.call("POST", `/trigger-events/${id}/replay`, { user: world.user });
    await world.settle();
    expect(await world.runs()).toHaveLength(2);
    expect(await world.event(id)).toMatchObject({ approval: { status: "waiting" } });
  });
});
