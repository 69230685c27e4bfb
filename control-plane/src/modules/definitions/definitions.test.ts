import { newId } from "@shipfox/shared/ids";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, testClock } from "../../testing/api.ts";
import {
  insertConnection,
  insertProject,
  insertUser,
  insertWorkspace,
  memberAccess as access,
} from "../../testing/rows.ts";
import { type DispatchPort, RemovedRuns, startRun } from "../runs/public.ts";
import { Subscriptions } from "../triggers/public.ts";
import { Evaluator } from "../expressions/public.ts";
import { DefinitionReader } from "./definition-reader.ts";
import { createDefinitionRoutes, DefinitionStarter, type ProjectsPort } from "./public.ts";

const projects: ProjectsPort = {
  workspaceOf: async (tx, projectId) =>
    (await tx.get<{ workspace_id: string }>("select workspace_id from projects where id = ?", [projectId]))
      ?.workspace_id ?? null,
};
const steps = "    steps:\n      - run: echo hello\n";
const job = `jobs:\n  build:\n    runner: linux\n${steps}`;
const manual = "triggers:\n  by_hand:\n    source: manual\n    event: fire\n    with:\n      level: 1\n";

function workflow(name: string, triggers = manual): string {
  return `name: ${name}\n${triggers}${job}`;
}

describeStores("definitions", (open) => {
  let store: Store;
  let api: Api;
  let workspaceId: string;
  let projectId: string;
  const users = {} as Record<"maintainer" | "viewer" | "stranger", string>;
  let queued: string[];
  const clock = testClock();

  beforeEach(async () => {
    store = await open();
    queued = [];
    const dispatch: DispatchPort = {
      enqueue: async (_tx, entry) => void queued.push(entry.executionId),
      withdraw: async () => {},
      finishLease: async () => {},
      cancelLease: async () => {},
      revokeLease: async () => false,
      isLeased: async () => false,
      dueAt: () => {},
    };
    const endings = { runEnded: async () => {} };
    const places = {
      dispatch,
      endings,
      evaluator: new Evaluator(),
      ...store.sql,
      readVariables: async () => new Map(),
      maxConcurrentRuns: 0,
      removed: new RemovedRuns(),
    };
    const subscriptions = new Subscriptions(() => {});
    const deps = { store, clock, access, projects, reader: new DefinitionReader([]), subscriptions };
    const starter = new DefinitionStarter((tx, request) => startRun(tx, places, request));
    api = await serveApi(createDefinitionRoutes({ ...deps, starter }));
    for (const name of ["maintainer", "viewer", "stranger"] as const) users[name] = await insertUser(store);
    workspaceId = await insertWorkspace(store, { [users.maintainer]: "maintainer", [users.viewer]: "viewer" });
    projectId = await newProject("git:https://git.example.com/app");
  });
  afterEach(() => api.close());

  async function newProject(repository: string): Promise<string> {
    return insertProject(store, { workspaceId, connectionId: await insertConnection(store, workspaceId), repository });
  }
  const save = (fields: Record<string, unknown> = {}, user = users.maintainer) =>
    api.call("POST", "/definitions", { user, body: { project_id: projectId, yaml: workflow("CI"), ...fields } });
  const list = (query: string, user = users.viewer) => api.call("GET", `/definitions?${query}`, { user });
  const fire = (id: string, body: unknown = {}, user = users.maintainer) =>
    api.call("POST", `/workflow-definitions/${id}/fire-manual`, { user, body });
  const runs = () => store.read((tx) => tx.all<Record<string, unknown>>("select * from runs order by number"));

  it("starts no run of an archived project", async () => {
    const { id } = (await save()).body;
    await store.write((tx) => tx.run("update projects set archived_at = 1 where id = ?", [projectId]));
    expect(await fire(id)).toMatchObject({ status: 409, body: { code: "project-archived" } });
    expect(await runs()).toEqual([]);
    await store.write((tx) => tx.run("update projects set archived_at = null"));
    expect((await fire(id)).status).toBe(201);
  });

  it("creates no run over the workspace's limit for a call that prefers to be refused", async () => {
    const { id } = (await save()).body;
    await store.write((tx) =>
      tx.run("insert into run_limits (workspace_id, max_concurrent_runs) values (?, 1)", [workspaceId]),
    );
    const prefer = (preference: string) =>
      api.call("POST", `/workflow-definitions/${id}/fire-manual`, {
        user: users.maintainer,
        body: {},
        headers: { prefer: preference },
      });
    expect((await prefer("reject")).status).toBe(201);
    for (const preference of ["reject", "respond-async, Reject; x=1"]) {
      expect(await prefer(preference)).toMatchObject({
        status: 429,
        body: { code: "concurrency-limit", details: { max_concurrent_runs: 1 } },
      });
    }
    expect(await runs()).toHaveLength(1);
    expect(queued).toHaveLength(1);
    expect((await prefer("rejected")).status).toBe(201);
    expect(await runs()).toMatchObject([{ place_wanted_at: null }, { place_wanted_at: clock.now() }]);
    expect(queued).toHaveLength(1);
  });

  it("saves a workflow and shows it", async () => {
    const saved = await save();
    expect(saved).toMatchObject({
      status: 200,
      body: {
        project_id: projectId,
        name: "CI",
        source: "manual",
        config_path: null,
        sha: null,
        ref: null,
        manual_trigger: { name: "by_hand" },
      },
    });
    expect(saved.body.workflow_document.jobs.build.runner).toBe("linux");
    expect(saved.body.workflow_model).toMatchObject({ kind: "workflow", name: "CI" });
    expect((await api.call("GET", `/definitions/${saved.body.id}`, { user: users.viewer })).body).toEqual(saved.body);
  });

  it("replaces the definition of the same origin and makes a new one of every other", async () => {
    const vcs = { source: "vcs", config_path: "ci.yml" };
    const origins = [
      {},
      {},
      { config_path: "ci.yml" },
      { ...vcs, ref: "main" },
      { ...vcs, sha: "abc" },
      { ...vcs, sha: "def", ref: "main" },
    ];
    const first: string[] = [];
    for (const origin of origins) first.push((await save(origin)).body.id);
    expect(new Set(first).size).toBe(origins.length);
    const again = [];
    for (const origin of origins) again.push((await save({ ...origin, yaml: workflow("Renamed", "") })).body);
    expect(again.slice(2).map((body) => body.id)).toEqual(first.slice(2));
    expect(again.slice(2).every((body) => body.name === "Renamed" && body.manual_trigger === null)).toBe(true);
    expect(again.slice(0, 2).some((body) => first.includes(body.id))).toBe(false);
  });

  it("brings a removed definition back under its id", async () => {
    const { id } = (await save({ config_path: "ci.yml" })).body;
    await store.write((tx) => tx.run("update definitions set deleted_at = 1"));
    expect((await api.call("GET", `/definitions/${id}`, { user: users.viewer })).status).toBe(404);
    expect((await save({ config_path: "ci.yml" })).body.id).toBe(id);
    expect((await api.call("GET", `/definitions/${id}`, { user: users.viewer })).status).toBe(200);
  });

  it("lists every fault of a wrong workflow with its place, and saves nothing", async () => {
    const yaml = `nmae: CI\n${job}`;
    const refused = await save({ yaml });
    expect(refused).toMatchObject({
      status: 400,
      body: { code: "invalid-workflow-definition", message: expect.stringMatching(/line 1/) },
    });
    expect(refused.body.details).toContainEqual(
      expect.objectContaining({ code: "unknown-key", path: "(root)", line: 1, column: 1, suggestion: "name" }),
    );
    expect((await list(`project_id=${projectId}`)).body.definitions).toEqual([]);
    const validated = await api.call("POST", "/definitions/validate", { user: users.stranger, body: { yaml } });
    expect(validated).toMatchObject({ status: 200, body: { valid: false, errors: refused.body.details } });
    const good = await api.call("POST", "/definitions/validate", {
      user: users.stranger,
      body: { yaml: workflow("CI") },
    });
    expect(good.body).toMatchObject({ valid: true, workflow_model: { name: "CI" }, warnings: [] });
  });

  it("takes what this version does not run yet, says so, and creates no run of it", async () => {
    const yaml = workflow("CI", manual).replace("- run: echo hello", "- { prompt: Say hello }");
    const place = { code: "not-runnable-yet", path: "jobs.build.steps.0.prompt", line: 12 };
    const validated = await api.call("POST", "/definitions/validate", { user: users.stranger, body: { yaml } });
    expect(validated.body).toMatchObject({ valid: true, warnings: [], not_runnable: [place] });
    const { id } = (await save({ yaml })).body;
    expect(await fire(id)).toMatchObject({
      status: 422,
      body: { code: "not-runnable-yet", message: expect.stringContaining("line 12"), details: [place] },
    });
    expect(await runs()).toEqual([]);
  });

  it("calls the project's definition of the path as it is when the caller is saved", async () => {
    const path = ".shipfox/workflows/called.yml";
    const caller = `name: Caller\n${manual}jobs: { call: { uses: ./${path} } }\n`;
    const alone = await save({ yaml: caller });
    expect(alone).toMatchObject({
      status: 400,
      body: {
        code: "invalid-workflow-definition",
        details: [{ code: "unknown-called-workflow", path: "jobs.call.uses" }],
      },
    });
    const validated = await api.call("POST", "/definitions/validate", { user: users.stranger, body: { yaml: caller } });
    expect(validated.body).toMatchObject({ valid: true, workflow_model: { jobs: [{ key: "call" }] } });

    const keys = (body: { workflow_model: { jobs: { key: string }[] } }) =>
      body.workflow_model.jobs.map(({ key }) => key);
    const vcs = { source: "vcs", config_path: path };
    await save({ yaml: workflow("Called").replace("build", "of-main"), ...vcs, ref: "main" });
    clock.advance(1_000);
    await save({ yaml: workflow("Called").replace("build", "of-dev"), ...vcs, ref: "dev" });
    const saved = await save({ yaml: caller, ...vcs, config_path: "caller.yml", ref: "main" });
    expect(keys(saved.body)).toEqual(["call", "call/of-main"]);
    expect(keys((await save({ yaml: caller })).body)).toEqual(["call", "call/of-dev"]);

    await save({ yaml: workflow("Called").replace("build", "newer"), ...vcs, ref: "main" });
    expect((await fire(saved.body.id)).status).toBe(201);
    const [run] = await runs();
    expect(JSON.parse(run?.["called_files"] as string)).toMatchObject([
      { path, yaml: expect.stringContaining("of-main") },
    ]);
    const jobs = await store.read((tx) => tx.all<{ key: string }>("select key from jobs order by position"));
    expect(jobs.map(({ key }) => key)).toEqual(["call", "call/of-main"]);
  });

  it("holds the inputs of a run to what the trigger declares", async () => {
    const declared =
      "triggers: { t: { source: manual, event: fire, inputs: { to: { type: choice, options: [a, b], required: true }, n: { type: number, default: 2 }, dry: { type: boolean } } } }\n";
    const { id } = (await save({ yaml: workflow("CI", declared) })).body;
    const refused = async (inputs: Record<string, unknown>) => (await fire(id, { inputs })).body;
    expect(await refused({})).toMatchObject({ code: "validation-error", message: "inputs.to: is required" });
    expect(await refused({ to: "c" })).toMatchObject({
      details: [{ path: "inputs.to", message: "must be one of a, b" }],
    });
    expect(await refused({ to: "a", n: "2" })).toMatchObject({ details: [{ path: "inputs.n" }] });
    expect(await refused({ to: "a", dri: true })).toMatchObject({ message: expect.stringContaining("`dry`") });
    expect(await runs()).toEqual([]);
    expect((await fire(id, { inputs: { to: "b" } })).status).toBe(201);
    expect((await runs()).map((run) => JSON.parse(run["inputs"] as string))).toEqual([{ to: "b", n: 2 }]);
  });

  it("runs by hand what also starts by itself", async () => {
    const cron = `${manual}  nightly: { source: cron, event: tick, config: { schedule: "0 2 * * *" } }\n`;
    const { id } = (await save({ yaml: workflow("CI", cron) })).body;
    expect((await fire(id)).status).toBe(201);
  });

  it("takes a workflow of the greatest length and refuses a longer one", async () => {
    const longest = workflow("CI").padEnd(1_000_000, "#\n");
    const validate = (yaml: string) =>
      api.call("POST", "/definitions/validate", { user: users.viewer, body: { yaml } });
    expect((await validate(longest)).body.valid).toBe(true);
    expect((await validate(`${longest}#`)).status).toBe(400);
  });

  it("pages by name over a project and over a workspace", async () => {
    const other = await newProject("git:https://git.example.com/other");
    for (const name of ["Delta", "Alpha", "Charlie", "Alpha"]) await save({ yaml: workflow(name) });
    await save({ project_id: other, yaml: workflow("Bravo") });
    const names: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const page = await list(`workspace_id=${workspaceId}&limit=2${cursor === "" ? "" : `&cursor=${cursor}`}`);
      names.push(...page.body.definitions.map((definition: { name: string }) => definition.name));
      expect(page.body.sync).toBeNull();
      cursor = page.body.next_cursor;
    }
    expect(names).toEqual(["Alpha", "Alpha", "Bravo", "Charlie", "Delta"]);
    expect((await list(`project_id=${other}`)).body).toMatchObject({
      definitions: [{ name: "Bravo" }],
      next_cursor: null,
    });
    expect((await list(`project_id=${projectId}&cursor=nonsense`)).body.code).toBe("invalid-cursor");
    expect((await list("limit=5")).body.code).toBe("validation-error");
  });

  it("shows strangers nothing and lets viewers change nothing", async () => {
    const { id } = (await save()).body;
    expect(await save({}, users.stranger)).toMatchObject({ status: 404, body: { code: "project-not-found" } });
    expect(await save({ project_id: newId() })).toMatchObject({ status: 404, body: { code: "project-not-found" } });
    expect(await list(`project_id=${projectId}`, users.stranger)).toMatchObject({
      status: 404,
      body: { code: "project-not-found" },
    });
    expect(await list(`workspace_id=${workspaceId}`, users.stranger)).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
    expect(await api.call("GET", `/definitions/${id}`, { user: users.stranger })).toMatchObject({
      status: 404,
      body: { code: "not-found" },
    });
    expect(await fire(id, {}, users.stranger)).toMatchObject({
      status: 404,
      body: { code: "manual-trigger-not-found" },
    });
    expect(await save({}, users.viewer)).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect(await fire(id, {}, users.viewer)).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect(await runs()).toEqual([]);
  });

  it("fires a run, with the trigger's inputs or with those of the body instead", async () => {
    const { id } = (await save()).body;
    const fired = await fire(id);
    expect(fired).toMatchObject({ status: 201, body: { workflow_run_id: expect.any(String) } });
    await fire(id, { inputs: { other: [1, { deep: null }] } });
    const [first, second] = await runs();
    expect(first).toMatchObject({
      id: fired.body.workflow_run_id,
      number: 1,
      status: "pending",
      source_yaml: workflow("CI"),
      project_id: projectId,
    });
    expect(JSON.parse(first?.["inputs"] as string)).toEqual({ level: 1 });
    expect(JSON.parse(first?.["trigger_payload"] as string)).toEqual({
      provider: "manual",
      source: "manual",
      event: "fire",
      subscriptionId: id,
      userId: users.maintainer,
    });
    expect(second).toMatchObject({
      number: 2,
      trigger_provider: "manual",
      trigger_source: "manual",
      trigger_event: "fire",
    });
    expect(JSON.parse(second?.["inputs"] as string)).toEqual({ other: [1, { deep: null }] });
    expect(queued).toHaveLength(2);
  });

  it("fires what was saved last, however quickly", async () => {
    const { id } = (await save({ config_path: "ci.yml" })).body;
    await fire(id);
    await save({ config_path: "ci.yml", yaml: workflow("CI two") });
    await fire(id);
    expect((await runs()).map((run) => run["workflow_name"])).toEqual(["CI", "CI two"]);
  });

  it("fires nothing without a manual trigger, with an unknown key, or after removal", async () => {
    const silent = (await save({ yaml: workflow("CI", "") })).body.id;
    expect(await fire(silent)).toMatchObject({ status: 404, body: { code: "manual-trigger-not-found" } });
    expect(await fire(newId())).toMatchObject({ status: 404, body: { code: "manual-trigger-not-found" } });
    const { id } = (await save()).body;
    expect(await fire(id, { input: {} })).toMatchObject({ status: 400, body: { code: "validation-error" } });
    expect((await fire("nonsense")).status).toBe(400);
    await fire(id);
    await store.write((tx) => tx.run("update definitions set deleted_at = 1"));
    expect(await fire(id)).toMatchObject({ status: 404, body: { code: "manual-trigger-not-found" } });
    expect(await runs()).toHaveLength(1);
  });

  it("numbers runs that are fired at the same moment without gaps", async () => {
    const { id } = (await save()).body;
    await Promise.all(Array.from({ length: 10 }, () => fire(id)));
    expect((await runs()).map((run) => run["number"])).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});
