import { afterEach, expect, it } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, testClock } from "../../testing/api.ts";
import { insertConnection, insertProject, insertUser, insertWorkspace, memberAccess } from "../../testing/rows.ts";
import { asRunnable, parseWorkflow } from "../workflow/public.ts";
import { resolveModel } from "./resolve-model.ts";
import { createVariableRoutes } from "./routes.ts";

const apis: Api[] = [];
afterEach(async () => {
  await Promise.all(apis.splice(0).map((api) => api.close()));
});

async function start(store: Store) {
  const owner = await insertUser(store);
  const workspaceId = await insertWorkspace(store, { [owner]: "owner" });
  const connectionId = await insertConnection(store, workspaceId);
  const projectId = await insertProject(store, { workspaceId, connectionId, repository: "git:a" });
  const projects = { workspaceOf: async (_tx: unknown, id: string) => (id === projectId ? workspaceId : null) };
  const api = await serveApi(
    createVariableRoutes({ store, clock: testClock(), access: memberAccess, projects, maxPerWorkspace: 3 }),
  );
  apis.push(api);
  const base = `/workspaces/${workspaceId}/variables`;
  const call = (method: string, path: string, body?: unknown) =>
    api.call(method, `${base}${path}`, { user: owner, body });
  return { store, workspaceId, projectId, call };
}

function modelOf(yaml: string) {
  const parsed = parseWorkflow(`name: a\nrunner: x\njobs: { a: { steps: [${yaml}] } }`);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.diagnostics));
  const model = asRunnable(parsed.model);
  if (!model) throw new Error(JSON.stringify(parsed.notRunnable));
  return model;
}

describeStores("variables", (open) => {
  it("are set, listed with their first line, read whole and removed", async () => {
    const { call } = await start(await open());
    const long = `${"x".repeat(255)}😀 and more\nsecond line`;
    expect((await call("PUT", "/NOTES", { value: long })).body).toMatchObject({
      variable: { key: "NOTES", value: long, project_id: null },
      warnings: [],
    });
    const batch = await call("POST", ":batch", {
      entries: [
        { key: "API_TOKEN_NAME", value: "a" },
        { key: "B", value: "" },
      ],
    });
    expect(batch.body.warnings).toEqual([
      { code: "sensitive-variable-name", key: "API_TOKEN_NAME", message: expect.any(String) },
    ]);
    expect((await call("GET", "")).body).toMatchObject({
      variables: [
        { key: "API_TOKEN_NAME", value: "a", value_truncated: false },
        { key: "B", value: "", value_truncated: false },
        { key: "NOTES", value: "x".repeat(255), value_truncated: true },
      ],
      next_cursor: null,
    });
    expect((await call("GET", "/NOTES")).body.variable.value).toBe(long);
    expect((await call("PUT", "/FOURTH", { value: "x" })).body).toMatchObject({
      code: "workspace-secret-cap-exceeded",
    });
    expect((await call("DELETE", "/NOTES")).status).toBe(204);
    expect([(await call("GET", "/NOTES")).body.code, (await call("DELETE", "/NOTES")).body.code]).toEqual([
      "variable-not-found",
      "variable-not-found",
    ]);
  });

  it("are put into the model of a run, the project's before the workspace's", async () => {
    const { store, workspaceId, projectId, call } = await start(await open());
    await call("PUT", "/REGION", { value: "eu" });
    await call("PUT", "/REGION", { value: "us", project_id: projectId });
    await call("PUT", "/EMPTY", { value: "" });
    const model = modelOf(
      `{ run: "echo \${{ vars.REGION }}", env: { HOST: "a.\${{ vars.REGION }}.b\${{ vars.EMPTY }}", MIXED: "\${{ vars.REGION }}-\${{ secrets.S }}", NONE: "\${{ vars.EMPTY }}" } }`,
    );
    const resolved = await store.read((tx) => resolveModel(tx, { workspaceId, projectId }, model));
    expect(resolved.jobs[0]?.steps[0]).toMatchObject({
      run: 'echo "${__sf_0}"',
      env: { HOST: "a.us.b", NONE: "", __sf_0: "us" },
      bindings: {
        MIXED: [
          { kind: "literal", value: "us-" },
          { kind: "secret", store: "local", key: "S" },
        ],
      },
    });
  });

  it("that are missing, or would become code, keep a run from being created", async () => {
    const { store, ...place } = await start(await open());
    const resolve = (yaml: string) => store.read((tx) => resolveModel(tx, place, modelOf(yaml)));
    await expect(resolve(`{ run: a, env: { HOST: "\${{ vars.NO }}" } }`)).rejects.toMatchObject({
      code: "workflow-interpolation-unresolvable",
      status: 422,
      details: { field: "env.HOST", source: "vars.NO", env_key: "HOST" },
    });
    await expect(resolve(`{ run: "echo \${{ vars.NO }}" }`)).rejects.toMatchObject({ details: { field: "run" } });
    await expect(resolve(`{ run: "echo $(echo \${{ secrets.S }})" }`)).rejects.toMatchObject({
      code: "workflow-interpolation-unresolvable",
      details: { field: "run", source: "secrets.S" },
    });
  });
});
