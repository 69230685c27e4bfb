import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it, onTestFinished } from "vitest";
import type { TriggerEventRow } from "../../../store/schema.ts";
import type { Store } from "../../../store/store.ts";
import { describeStores } from "../../../store/testing.ts";
import { serveApi, silentLog, TEST_ROOT_KEY, testClock } from "../../../testing/api.ts";
import { TestRepository } from "../../../testing/git-repository.ts";
import { insertConnection, insertProject, insertWorkspace } from "../../../testing/rows.ts";
import { Envelope } from "../../secrets/public.ts";
import { storeTriggerEvent } from "../../triggers/public.ts";
import { createGitPushRoutes, followRepository, openGit, Polling, Sources } from "../public.ts";
import { NO_COMMIT } from "./heads.ts";

const urls = { allowFile: true, allowHttp: true, allowPrivate: true };
const INTERVAL_MS = 60_000;

describeStores("the look for new commits", (open) => {
  let store: Store;
  let repository: TestRepository;
  let workspaceId: string;
  let connectionId: string;
  let projectId: string;
  const clock = testClock();

  beforeEach(async () => {
    store = await open();
    repository = await TestRepository.create();
    onTestFinished(() => repository.remove());
    await repository.commit({ "README.md": "first" });
    workspaceId = await insertWorkspace(store, {});
    connectionId = await insertConnection(store, workspaceId);
    projectId = await insertProject(store, { workspaceId, connectionId, repository: `git:${repository.fileUrl}` });
    await store.write((tx) => followRepository(tx, { id: projectId, connection_id: connectionId }, clock.now()));
  });

  async function start(intervalMs = INTERVAL_MS) {
    const folder = await mkdtemp(join(tmpdir(), "shipfox-polling-"));
    const git = await openGit({ folder, urls, environment: process.env });
    const synced: string[] = [];
    const syncs = { request: async () => {}, run: async (id: string) => void synced.push(id) };
    const sources = new Sources({ envelope: new Envelope(TEST_ROOT_KEY), urls, github: null });
    const deps = { store, clock, log: silentLog, git, sources, syncs, storeDelivery: storeTriggerEvent };
    const polling = new Polling({ ...deps, random: () => 0.5, intervalMs });
    onTestFinished(async () => {
      await git.close();
      await rm(folder, { recursive: true });
    });
    return { look: () => polling.runDue(clock.now()), synced };
  }
  const events = () =>
    store.read((tx) => tx.all<TriggerEventRow>("select * from trigger_events order by received_at, id"));

  it("tells of each branch that got a commit since, once, and syncs for the default one", async () => {
    const { look, synced } = await start();
    expect(await look()).toBe(clock.now() + INTERVAL_MS);
    expect(await events()).toEqual([]);
    const before = await repository.git("rev-parse", "HEAD");
    const after = await repository.commit({ "README.md": "second" });
    await look();
    expect(await events()).toEqual([]);

    clock.advance(INTERVAL_MS);
    await look();
    const [event, ...more] = await events();
    expect(more).toEqual([]);
    expect(event).toMatchObject({
      provider: "git",
      source: connectionId,
      event: "push",
      connection_id: connectionId,
      repository_id: `git:${repository.fileUrl}`,
      head_commit: after,
      untrusted: 0,
      outcome: "received",
    });
    const full_name = repository.folder.slice(1);
    expect(JSON.parse(event?.payload ?? "")).toEqual({
      ref: "refs/heads/main",
      before,
      after,
      repository: { full_name, clone_url: repository.fileUrl, default_branch: "main" },
    });
    expect(event?.due_at).toBeGreaterThan(clock.now());
    expect(synced).toEqual([projectId]);

    await repository.git("branch", "feature");
    clock.advance(INTERVAL_MS);
    await look();
    clock.advance(INTERVAL_MS);
    await look();
    const told = (await events()).map((row) => JSON.parse(row.payload ?? ""));
    expect(told.slice(1)).toMatchObject([{ ref: "refs/heads/feature", before: NO_COMMIT, after }]);
    expect((await events())[1]?.due_at).toBe((await events())[1]?.received_at);
    expect(synced).toEqual([projectId]);
  });

  it("is made once by processes that look at the same time", async () => {
    const [one, other] = [await start(), await start()];
    await one.look();
    await repository.commit({ "README.md": "second" });
    clock.advance(INTERVAL_MS);
    await Promise.all([one.look(), other.look()]);
    expect(await events()).toHaveLength(1);
  });

  it("passes over what is archived, and waits longer after each failure", async () => {
    const { look } = await start();
    await look();
    await store.write((tx) => tx.run("update projects set archived_at = 1"));
    await repository.commit({ "README.md": "second" });
    clock.advance(INTERVAL_MS);
    expect(await look()).toBe(clock.now() + INTERVAL_MS);
    expect(await events()).toEqual([]);
    await store.write((tx) => tx.run("update projects set archived_at = null"));
    await repository.remove();
    clock.advance(INTERVAL_MS);
    expect(await look()).toBe(clock.now() + 30_000);
    clock.advance(30_000);
    expect(await look()).toBe(clock.now() + 60_000);
  });

  it("comes at once when the host says that something was pushed, and not more often however often it says so", async () => {
    const { look } = await start(0);
    let woken = 0;
    const api = await serveApi(createGitPushRoutes({ store, clock, wake: () => (woken += 1) }));
    onTestFinished(() => api.close());
    const call = (id = connectionId) => api.call("POST", `/webhooks/integrations/git/${id}`, { body: { ref: "x" } });
    expect(await look()).toBeNull();
    await repository.commit({ "README.md": "second" });
    clock.advance(1_000);
    for (let index = 0; index < 5; index += 1) expect((await call()).status).toBe(204);
    expect(woken).toBe(5);
    expect(await look()).toBe(clock.now() + 4_000);
    clock.advance(4_000);
    expect(await look()).toBeNull();
    expect(await events()).toHaveLength(1);
    expect((await call(projectId)).status).toBe(404);
    await store.write((tx) => tx.run("update connections set lifecycle_status = 'disabled'"));
    expect((await call()).status).toBe(404);
  });
});
