import { ApiError } from "@shipfox/shared/errors";
import { beforeEach, expect, it } from "vitest";
import type { DefinitionSyncRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { silentLog, testClock } from "../../testing/api.ts";
import { insertConnection, insertProject, insertWorkspace } from "../../testing/rows.ts";
import { Subscriptions } from "../triggers/public.ts";
import { DefinitionReader } from "./definition-reader.ts";
import { DefinitionSync, type FetchedWorkflows, presentSync } from "./public.ts";

function fetched(files: Record<string, string>, branch = "main"): FetchedWorkflows {
  const named = Object.entries(files).map(([name, content]) => ({
    path: `.shipfox/workflows/${name}`,
    content: Buffer.from(content),
  }));
  return { branch, sha: "0".repeat(40), files: named };
}

function workflow(name: string): string {
  return `name: ${name}\njobs:\n  build:\n    runner: linux\n    steps:\n      - run: echo hello\n`;
}

describeStores("definition sync", (open) => {
  let store: Store;
  let projectId: string;
  let workspaceId: string;
  const clock = testClock();

  beforeEach(async () => {
    store = await open();
    workspaceId = await insertWorkspace(store, {});
    const connectionId = await insertConnection(store, workspaceId);
    projectId = await insertProject(store, {
      workspaceId,
      connectionId,
      repository: "git:https://git.example.com/app",
    });
  });

  function syncOf(fetchWorkflows: (projectId: string) => Promise<FetchedWorkflows>): DefinitionSync {
    const projects = { workspaceOf: async () => workspaceId };
    return new DefinitionSync({
      subscriptions: new Subscriptions(() => {}),
      store,
      clock,
      log: silentLog,
      projects,
      source: { fetchWorkflows },
      reader: new DefinitionReader([]),
    });
  }
  async function run(sync: DefinitionSync): Promise<DefinitionSyncRow> {
    await store.write((tx) => sync.request(tx, projectId, clock.now()));
    await sync.run(projectId);
    return row();
  }
  const row = () =>
    store.read(async (tx) => (await tx.get<DefinitionSyncRow>("select * from definition_syncs")) as DefinitionSyncRow);
  const live = () =>
    store.read((tx) =>
      tx.all<{ id: string; name: string; ref: string; updated_at: number }>(
        "select id, name, ref, updated_at from definitions where deleted_at is null order by name",
      ),
    );
  const names = async () => (await live()).map((definition) => definition.name);

  it("makes the definitions what the files say, and touches only what changed", async () => {
    let files: Record<string, string> = { "a.yml": workflow("A"), "b.yml": workflow("B") };
    const sync = syncOf(async () => fetched(files));
    expect(await run(sync)).toMatchObject({
      status: "succeeded",
      ref: "main",
      last_error_code: null,
      last_sync_at: clock.now(),
    });
    const before = await live();
    clock.advance(1_000);
    files = { "a.yml": workflow("A"), "c.yml": workflow("C") };
    await run(sync);
    expect(await names()).toEqual(["A", "C"]);
    expect((await live())[0]).toEqual(before[0]);
    files = { "a.yml": workflow("A"), "b.yml": workflow("B again") };
    await run(sync);
    expect((await live())[1]).toMatchObject({ id: before[1]?.id, name: "B again" });
  });

  const states = (sync: DefinitionSyncRow) =>
    presentSync(sync).files.map(({ config_path, status }) => `${config_path.split("/").at(-1)} ${status}`);

  it("takes the good files over; one with a fault keeps the definition it had, and says why", async () => {
    let files: Record<string, string> = { "a.yml": workflow("A"), "b.yml": workflow("B") };
    const sync = syncOf(async () => fetched(files));
    await run(sync);
    const before = await live();
    const succeededAt = clock.now();
    clock.advance(1_000);
    files = { "a.yml": workflow("A2"), "b.yml": "name: B\njobs: []\n", "c.yml": workflow("C"), "d.yml": "name: [" };
    const ended = await run(sync);
    expect(ended).toMatchObject({
      status: "failed",
      last_error_code: "invalid-definition",
      last_error_message: expect.stringMatching(
        /^\.shipfox\/workflows\/b\.yml:2:\d+: .*; \.shipfox\/workflows\/d\.yml:1:\d+: /s,
      ),
      last_sync_at: succeededAt,
      finished_at: clock.now(),
    });
    expect(states(ended)).toEqual(["a.yml active", "b.yml invalid", "c.yml active", "d.yml invalid"]);
    expect(presentSync(ended).files[1]).toMatchObject({
      definition_id: before[1]?.id,
      diagnostics: [
        expect.objectContaining({ code: "invalid-type", path: "jobs", line: 2, column: expect.any(Number) }),
      ],
    });
    expect(presentSync(ended).files[3]).toMatchObject({ definition_id: null });
    expect(await names()).toEqual(["A2", "B", "C"]);
    files = { "a.yml": workflow("A2"), "b.yml": workflow("B2") };
    expect(states(await run(sync))).toEqual(["a.yml active", "b.yml active"]);
    expect(await names()).toEqual(["A2", "B2"]);
    expect((await live())[1]?.id).toBe(before[1]?.id);
  });

  it("marks a file that is too large or no text alone", async () => {
    const set = fetched({ "a.yml": workflow("A") });
    const odd = [
      { path: ".shipfox/workflows/large.yml", content: null },
      { path: ".shipfox/workflows/odd.yml", content: Buffer.from([0xff]) },
    ];
    const ended = await run(syncOf(async () => ({ ...set, files: [...set.files, ...odd] })));
    expect(states(ended)).toEqual(["a.yml active", "large.yml invalid", "odd.yml invalid"]);
    expect(await names()).toEqual(["A"]);
  });

  const calls = (name: string) => `name: ${name}\njobs:\n  call:\n    uses: ./.shipfox/workflows/called.yml\n`;
  const stored = (name: string) =>
    store.read(async (tx) => {
      const sql = "select model, called_files, updated_at from definitions where name = ?";
      const row = await tx.get<{ model: string; called_files: string | null; updated_at: number }>(sql, [name]);
      const { jobs } = JSON.parse(row?.model ?? "{}") as { jobs: { key: string }[] };
      return { keys: jobs.map(({ key }) => key), called: JSON.parse(row?.called_files ?? "null"), at: row?.updated_at };
    });

  it("takes called files over with their callers, of the same commit", async () => {
    let files = { "a.yml": calls("A"), "called.yml": workflow("Called"), "other.yml": workflow("Other") };
    const sync = syncOf(async () => fetched(files));
    await run(sync);
    const path = ".shipfox/workflows/called.yml";
    expect(await stored("A")).toMatchObject({
      keys: ["call", "call/build"],
      called: [{ path, yaml: files["called.yml"] }],
    });
    const other = await stored("Other");
    clock.advance(1_000);
    files = { ...files, "called.yml": workflow("Called").replace("build", "test") };
    await run(sync);
    expect(await stored("A")).toMatchObject({
      keys: ["call", "call/test"],
      called: [{ path, yaml: files["called.yml"] }],
    });
    expect(await stored("Other")).toEqual(other);
  });

  it("marks the callers of a file that is faulty or gone, which keep what they had, and no other file", async () => {
    let files: Record<string, string> = {
      "a.yml": calls("A"),
      "b.yml": workflow("B"),
      "called.yml": workflow("Called"),
    };
    const sync = syncOf(async () => fetched(files));
    await run(sync);
    const before = await stored("A");
    files = { ...files, "b.yml": workflow("B2"), "called.yml": "name: Called\njobs: []\n" };
    const faulty = await run(sync);
    expect(states(faulty)).toEqual(["a.yml invalid", "b.yml active", "called.yml invalid"]);
    expect(presentSync(faulty).files[0]?.diagnostics).toMatchObject([
      { code: "invalid-called-workflow", path: "jobs.call.uses", line: 4, column: 11 },
    ]);
    files = { "a.yml": calls("A"), "b.yml": workflow("B2") };
    const missing = await run(sync);
    expect(states(missing)).toEqual(["a.yml invalid", "b.yml active"]);
    expect(missing.last_error_message).toMatch(
      /a\.yml:4:11: there is no workflow file `\.shipfox\/workflows\/called\.yml`/,
    );
    expect(await stored("A")).toEqual(before);
    expect(await names()).toEqual(["A", "B2"]);
  });

  it("takes a file under another name for another workflow", async () => {
    let files: Record<string, string> = { "a.yml": workflow("A") };
    const sync = syncOf(async () => fetched(files));
    await run(sync);
    const before = await live();
    files = { "renamed.yml": workflow("A") };
    await run(sync);
    expect(await names()).toEqual(["A"]);
    expect((await live())[0]?.id).not.toBe(before[0]?.id);
  });

  it("keeps what a file with a fault had when the default branch is renamed, until the file is good or gone", async () => {
    let branch = "main";
    let files: Record<string, string> = { "a.yml": workflow("A"), "b.yml": workflow("B") };
    const sync = syncOf(async () => fetched(files, branch));
    await run(sync);
    branch = "trunk";
    files = { "a.yml": "name: [", "b.yml": "name: [" };
    await run(sync);
    await run(sync);
    expect(await names()).toEqual(["A", "B"]);
    files = { "a.yml": workflow("A2") };
    await run(sync);
    expect((await live()).map(({ name, ref }) => `${name} ${ref}`)).toEqual(["A2 trunk"]);
  });

  it("takes what this version does not run yet, and warns of it with file and line", async () => {
    const yaml = workflow("A").replace(/- run: .*/, "- prompt: Say hello");
    const sync = syncOf(async () => fetched({ "a.yml": yaml }));
    const { status, warnings } = await run(sync);
    expect(status).toBe("succeeded");
    expect(JSON.parse(warnings)).toEqual([
      expect.objectContaining({
        code: "not-runnable-yet",
        path: expect.stringMatching(/^\.shipfox\/workflows\/a\.yml:\d+$/),
      }),
    ]);
    expect(await names()).toEqual(["A"]);
  });

  it("keeps all as it was when the repository cannot be read or has no workflow any more", async () => {
    let answer: () => FetchedWorkflows = () => fetched({ "a.yml": workflow("A") });
    const sync = syncOf(async () => answer());
    await run(sync);
    answer = () => fetched({});
    expect(await run(sync)).toMatchObject({ status: "failed", last_error_code: "no-workflow-files" });
    answer = () => {
      throw new ApiError("access-denied", "the host refused the credential");
    };
    expect(await run(sync)).toMatchObject({
      status: "failed",
      last_error_code: "provider-access-denied",
      last_error_message: "the host refused the credential",
    });
    answer = () => {
      throw new Error("secret inner detail");
    };
    expect(await run(sync)).toMatchObject({
      status: "failed",
      last_error_code: "unknown",
      last_error_message: expect.not.stringContaining("secret"),
    });
    expect(await names()).toEqual(["A"]);
  });

  it("follows a default branch that was renamed", async () => {
    let branch = "main";
    const sync = syncOf(async () => fetched({ "a.yml": workflow("A") }, branch));
    await run(sync);
    branch = "trunk";
    await run(sync);
    expect((await live()).map((definition) => definition.ref)).toEqual(["trunk"]);
  });

  it("runs one sync of a project at a time; calls while one reads share the next one", async () => {
    const gates: (() => void)[] = [];
    const sync = syncOf(async () => {
      await new Promise<void>((resolve) => gates.push(resolve));
      return fetched({ "a.yml": workflow("A") });
    });
    await store.write((tx) => sync.request(tx, projectId, clock.now()));
    const first = sync.run(projectId);
    await expect.poll(() => gates.length).toBe(1);
    const second = sync.run(projectId);
    expect(sync.run(projectId)).toBe(second);
    expect(second).not.toBe(first);
    gates[0]?.();
    await first;
    await expect.poll(() => gates.length).toBe(2);
    gates[1]?.();
    await second;
    expect(gates).toHaveLength(2);
    expect(await names()).toEqual(["A"]);
  });

  it("does again at the start what a crash interrupted", async () => {
    for (const status of ["pending", "syncing"]) {
      const dying = syncOf(() => new Promise(() => {}));
      await store.write((tx) => dying.request(tx, projectId, clock.now()));
      await store.write((tx) => tx.run("update definition_syncs set status = ?", [status]));
      const next = syncOf(async () => fetched({ "a.yml": workflow("A") }));
      await next.start();
      await next.run(projectId);
      expect(await row()).toMatchObject({ status: "succeeded" });
    }
    expect(await names()).toEqual(["A"]);
  });

  it("leaves for the next start what a stop cuts off", async () => {
    const gate = Promise.withResolvers<FetchedWorkflows>();
    const reading = Promise.withResolvers<void>();
    const sync = syncOf(() => {
      reading.resolve();
      return gate.promise;
    });
    await store.write((tx) => sync.request(tx, projectId, clock.now()));
    void sync.run(projectId);
    await reading.promise;
    gate.reject(new ApiError("shutting-down"));
    await sync.stop();
    expect(await row()).toMatchObject({ status: "syncing" });
  });
});
