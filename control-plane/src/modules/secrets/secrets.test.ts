import { newId } from "@shipfox/shared/ids";
import { afterEach, expect, it } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, silentLog, TEST_ROOT_KEY, testClock } from "../../testing/api.ts";
import { insertConnection, insertProject, insertUser, insertWorkspace, memberAccess } from "../../testing/rows.ts";
import { Envelope } from "./envelope.ts";
import { createSecretRoutes } from "./routes.ts";
import { StepSecrets } from "./step-secrets.ts";

const CANARY = "c4n4ry-Value/with+signs";
const CAP = 4;
const envelope = new Envelope(TEST_ROOT_KEY);
const opener = new StepSecrets(envelope, silentLog);

const apis: Api[] = [];
afterEach(async () => {
  await Promise.all(apis.splice(0).map((api) => api.close()));
});

async function start(store: Store) {
  const [owner, maintainer, viewer, stranger] = await Promise.all([1, 2, 3, 4].map(() => insertUser(store)));
  if (!owner || !maintainer || !viewer || !stranger) throw new Error("no users");
  const workspaceId = await insertWorkspace(store, {
    [owner]: "owner",
    [maintainer]: "maintainer",
    [viewer]: "viewer",
  });
  const connectionId = await insertConnection(store, workspaceId);
  const projectId = await insertProject(store, { workspaceId, connectionId, repository: "git:a" });
  const clock = testClock();
  const projects = {
    workspaceOf: async (tx: Parameters<Parameters<Store["read"]>[0]>[0], id: string) =>
      (await tx.get<{ workspace_id: string }>("select workspace_id from projects where id = ?", [id]))?.workspace_id ??
      null,
  };
  const api = await serveApi(
    createSecretRoutes({ store, clock, access: memberAccess, projects, envelope, maxPerWorkspace: CAP }),
  );
  apis.push(api);
  const base = `/workspaces/${workspaceId}/secrets`;
  const as = (user: string) => ({
    list: (query = "") => api.call("GET", `${base}${query}`, { user }),
    set: (key: string, value: string, project?: string) =>
      api.call("PUT", `${base}/${key}`, { user, body: { value, ...(project ? { project_id: project } : {}) } }),
    batch: (entries: { key: string; value: string }[], project?: string) =>
      api.call("POST", `${base}:batch`, { user, body: { entries, project_id: project ?? null } }),
    remove: (key: string, query = "") => api.call("DELETE", `${base}/${key}${query}`, { user }),
  });
  const open = (keys: string[], place = { workspaceId, projectId }) => store.read((tx) => opener.open(tx, place, keys));
  return { store, clock, workspaceId, projectId, owner, maintainer, viewer, stranger, as, open };
}

describeStores("secrets", (open) => {
  it("are set, listed by key and removed, and never shown", async () => {
    const plane = await start(await open());
    const { set, list, remove } = plane.as(plane.owner);
    const made = await set("TOKEN", CANARY);
    expect(made.status).toBe(200);
    expect(made.body).toEqual({
      secret: {
        key: "TOKEN",
        project_id: null,
        created_at: expect.any(String),
        updated_at: expect.any(String),
        last_edited_by: plane.owner,
      },
      warnings: [],
    });
    plane.clock.advance(1_000);
    const again = await set("TOKEN", `${CANARY}2`);
    expect(again.body.secret.created_at).toBe(made.body.secret.created_at);
    expect(again.body.secret.updated_at).not.toBe(made.body.secret.updated_at);
    await set("A_KEY", CANARY);
    const first = await list("?limit=1");
    expect(first.body.secrets.map(({ key }: { key: string }) => key)).toEqual(["A_KEY"]);
    expect(first.body.next_cursor).toMatch(/^[A-Za-z0-9_-]+$/);
    const second = await list(`?limit=1&cursor=${first.body.next_cursor}`);
    expect(second.body).toMatchObject({ secrets: [{ key: "TOKEN" }], next_cursor: null });
    expect(JSON.stringify([made, again, first, second].map(({ body }) => body))).not.toContain(CANARY);
    expect((await list("?cursor=x")).body).toMatchObject({ code: "invalid-cursor" });
    expect((await remove("TOKEN")).status).toBe(204);
    expect((await remove("TOKEN")).body).toMatchObject({ code: "secret-not-found" });
    expect((await remove("TOKEN")).status).toBe(404);
  });

  it("are kept sealed: no row has a value, and a row that was moved does not open", async () => {
    const plane = await start(await open());
    const { set } = plane.as(plane.owner);
    await set("TOKEN", CANARY);
    await set("OTHER", "another value");
    const rows = await plane.store.read((tx) => tx.all("select * from secrets"));
    expect(JSON.stringify(rows)).not.toContain(CANARY);
    expect(JSON.stringify(rows)).not.toContain(Buffer.from(CANARY).toString("base64").slice(0, 16));
    await plane.store.write((tx) =>
      tx.run("update secrets set value = (select s.value from secrets s where s.key = 'TOKEN') where key = 'OTHER'"),
    );
    await expect(plane.open(["OTHER"])).rejects.toMatchObject({
      code: "secret-value-invalid",
      status: 409,
      details: { key: "OTHER" },
    });
  });

  it("of the project win over those of the workspace, and each list shows one scope", async () => {
    const plane = await start(await open());
    const { set, list, remove } = plane.as(plane.owner);
    await set("TOKEN", "of the workspace");
    await set("TOKEN", "of the project", plane.projectId);
    await set("ONLY", "workspace only");
    expect(await plane.open(["TOKEN", "ONLY", "TOKEN"])).toEqual(
      new Map([
        ["TOKEN", "of the project"],
        ["ONLY", "workspace only"],
      ]),
    );
    expect(await plane.open(["TOKEN"], { ...plane, projectId: newId() })).toEqual(
      new Map([["TOKEN", "of the workspace"]]),
    );
    const keys = async (query: string) => (await list(query)).body.secrets.map(({ key }: { key: string }) => key);
    expect(await keys("")).toEqual(["ONLY", "TOKEN"]);
    expect(await keys(`?project_id=${plane.projectId}`)).toEqual(["TOKEN"]);
    expect((await remove("TOKEN", `?project_id=${plane.projectId}`)).status).toBe(204);
    expect(await plane.open(["TOKEN"])).toEqual(new Map([["TOKEN", "of the workspace"]]));
    await expect(plane.open(["TOKEN", "MISSING"])).rejects.toMatchObject({
      code: "secret-not-found",
      status: 422,
      details: { key: "MISSING" },
    });
  });

  it("are managed by owners and admins, listed by members, hidden from everybody else", async () => {
    const plane = await start(await open());
    for (const user of [plane.maintainer, plane.viewer, plane.stranger]) {
      for (const answer of [
        await plane.as(user).set("TOKEN", CANARY),
        await plane.as(user).batch([{ key: "TOKEN", value: CANARY }]),
        await plane.as(user).remove("TOKEN"),
      ])
        expect([answer.status, answer.body.code]).toEqual([403, "forbidden"]);
    }
    expect((await plane.as(plane.viewer).list()).status).toBe(200);
    expect((await plane.as(plane.stranger).list()).body).toMatchObject({ code: "forbidden" });
    const { set, list } = plane.as(plane.owner);
    const foreign = await insertWorkspace(plane.store, {});
    const project = await insertProject(plane.store, {
      workspaceId: foreign,
      connectionId: await insertConnection(plane.store, foreign),
      repository: "git:b",
    });
    expect((await set("TOKEN", CANARY, project)).body).toMatchObject({ code: "project-not-found" });
    expect((await list(`?project_id=${project}`)).body).toMatchObject({ code: "project-not-found" });
  });

  it("come in batches, all of one or none", async () => {
    const plane = await start(await open());
    const { batch, list } = plane.as(plane.owner);
    const two = [
      { key: "B", value: "long enough value" },
      { key: "A", value: "short" },
    ];
    const answer = await batch(two);
    expect(answer.status).toBe(200);
    expect(answer.body.secrets.map(({ key }: { key: string }) => key)).toEqual(["B", "A"]);
    expect(answer.body.warnings).toEqual([
      { code: "short-secret-value", key: "A", message: expect.stringContaining("not hidden in logs") },
    ]);
    const refused = await batch([
      { key: "C", value: "x" },
      { key: "c", value: "x" },
    ]);
    expect([refused.status, refused.body]).toMatchObject([400, { code: "invalid-key", details: { key: "c" } }]);
    expect((await batch([...two, ...two])).body).toMatchObject({ code: "duplicate-key", details: { key: "B" } });
    expect((await batch([])).body).toMatchObject({ code: "validation-error" });
    expect((await list()).body.secrets).toHaveLength(2);
  });

  it("are refused when they are too large, too many or not text, without showing them", async () => {
    const plane = await start(await open());
    const { set, batch } = plane.as(plane.owner);
    expect((await set("A", "x".repeat(65_536))).status).toBe(200);
    const large = await set("B", `${"x".repeat(65_535)}é`);
    expect([large.status, large.body]).toMatchObject([
      413,
      { code: "value-too-large", details: { max_bytes: 65_536 } },
    ]);
    expect(JSON.stringify(large.body)).not.toContain("xxx");
    expect((await set("1A", "x")).body).toMatchObject({ code: "invalid-key" });
    expect((await set("A".repeat(129), "x")).body).toMatchObject({ code: "invalid-key" });
    expect((await set("B", "a\ud800b")).status).toBe(400);
    expect((await set("B", "a\0b")).status).toBe(400);
    const rest = ["B", "C", "D"].map((key) => ({ key, value: CANARY }));
    expect((await batch(rest)).status).toBe(200);
    const over = await set("E", CANARY);
    expect([over.status, over.body]).toMatchObject([
      409,
      { code: "workspace-secret-cap-exceeded", details: { cap: CAP } },
    ]);
    expect((await set("D", `${CANARY}!`)).status).toBe(200);
  });
});
