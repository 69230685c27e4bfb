import { expect, it } from "vitest";
import { removeOldRunners } from "./modules/runners/public.ts";
import { workflow } from "./modules/runners/test-plane.ts";
import { Provisioning, template } from "./provisioning.fixture.ts";
import type { Store } from "./store/store.ts";
import { describeStores } from "./store/testing.ts";

const DAY_MS = 24 * 3_600_000;
const JOB = workflow("  build:\n    runner: linux\n    steps: [{ run: 'true' }]\n");

function removing(store: Store, runsKeptMs: number | null = 400 * DAY_MS, keptMs: number | null = 90 * DAY_MS) {
  const deps = {
    store,
    keptMs,
    runsKeptMs,
  };
  return (days: number) => removeOldRunners(deps, Date.now() + days * DAY_MS);
}

const idsIn = async (store: Store, table: string) =>
  new Set((await store.read((tx) => tx.all<{ id: string }>(`select id from ${table}`))).map(({ id }) => id));

describeStores("machines, sessions and runners that ended", (open) => {
  async function start() {
    const store = await open();
    const provisioning = await Provisioning.start(store);
    const { inside } = provisioning.plane;
    const persistent = await inside.register(["gpu"], { persistent: true });
    const idle = await inside.register(["gpu"]);
    const used = await inside.register();
    const runId = await inside.fire(JOB);
    const claimed = await inside.claim(used.sessionId);
    if (!claimed) throw new Error("no job was queued");
    return { store, provisioning, inside, persistent, idle, used, runId, executionId: claimed.executionId };
  }

  it("are deleted after their time, but never with an open lease, nor a runner that a kept run names", async () => {
    const { store, inside, persistent, idle, used, runId, executionId } = await start();
    const remove = removing(store);
    expect(await remove(89)).toBeGreaterThan(Date.now() + 89 * DAY_MS);
    expect(await idsIn(store, "runner_sessions")).toEqual(
      new Set([persistent.sessionId, idle.sessionId, used.sessionId]),
    );
    await remove(401);
    expect(await idsIn(store, "runner_sessions")).toEqual(new Set([persistent.sessionId, used.sessionId]));
    expect(await idsIn(store, "runners")).toEqual(new Set([persistent.runnerId, used.runnerId]));
    await inside.next(executionId);
    await inside.finish(executionId);
    await remove(399);
    expect(await idsIn(store, "runner_sessions")).toEqual(new Set([persistent.sessionId]));
    await remove(401);
    expect(await idsIn(store, "runners")).toEqual(new Set([persistent.runnerId, used.runnerId]));
    await store.write((tx) => tx.run("delete from runs where id = ?", [runId]));
    await removing(store, null)(1_000);
    expect(await idsIn(store, "runners")).toEqual(new Set([persistent.runnerId, used.runnerId]));
    await remove(401);
    expect(await idsIn(store, "runners")).toEqual(new Set([persistent.runnerId]));
    await removing(store, null, null)(1_000);
    expect(await idsIn(store, "runners")).toEqual(new Set([persistent.runnerId]));
  });

  it("go batch by batch, machines with their states and consoles, those that go on stay with their sessions", async () => {
    const { store, provisioning } = await start();
    await provisioning.poll([template(500, ["gpu"])]);
    const made = [
      ...(await provisioning.make(100)),
      ...(await provisioning.make(100)),
      ...(await provisioning.make(10)),
    ];
    const [going, ended] = made as [(typeof made)[0], (typeof made)[0]];
    await provisioning.register(going);
    await provisioning.register(ended);
    await store.write((tx) =>
      tx.run("update runner_instances set state = 'failed', console_tail = 'oops', ended_at = ? where id <> ?", [
        Date.now(),
        going.runner_instance_id,
      ]),
    );
    const before = await idsIn(store, "runner_sessions");
    const remove = removing(store);
    expect(await remove(91)).toBeLessThan(Date.now() + 91 * DAY_MS + 60_000);
    expect((await idsIn(store, "runner_instances")).size).toBe(10);
    expect(await remove(91)).toBeGreaterThan(Date.now() + 91 * DAY_MS + 60_000);
    expect(await idsIn(store, "runner_instances")).toEqual(new Set([going.runner_instance_id]));
    const states = await store.read((tx) =>
      tx.all<{ id: string }>("select distinct runner_instance_id as id from runner_instance_states"),
    );
    expect(states).toEqual([{ id: going.runner_instance_id }]);
    // Those of the machine that goes on, of the persistent runner, and of the runner that has a job.
    expect(before.size).toBe(5);
    expect((await idsIn(store, "runner_sessions")).size).toBe(3);
  });
});
