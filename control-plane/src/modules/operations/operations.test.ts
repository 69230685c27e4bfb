import { afterEach, beforeEach, expect, it } from "vitest";
import { Idempotency } from "../../http/idempotency.ts";
import { systemClock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { describeStores, type StoreHarness } from "../../store/testing.ts";
import { type Api, serveApi } from "../../testing/api.ts";
import { insertUser, insertWorkspace, workspaceDeps } from "../../testing/rows.ts";
import { createAuditRoutes } from "../audit/public.ts";
import { access, createWorkspaceRoutes } from "../workspaces/public.ts";
import { createOperationsRoutes, ServerSettings } from "./public.ts";

const STARTED = { allow_signup: false, max_concurrent_runs: 20 };

describeStores("the administration of the server", (open: StoreHarness["open"]) => {
  let store: Store;
  let api: Api;
  let settings: ServerSettings;
  let told: unknown[];
  let [owner, operator, observer, user] = ["", "", "", ""];
  let keys = 0;

  beforeEach(async () => {
    store = await open();
    told = [];
    settings = await ServerSettings.open(store, STARTED);
    const clock = systemClock;
    const deps = {
      store,
      clock,
      access,
      accessChanged: (whose: unknown) => void told.push(whose),
      settings,
      version: "1.2.3",
      onLimitsChanged: () => void told.push("limits"),
      onReopened: (workspaceId: string) => void told.push({ reopened: workspaceId }),
    };
    const routes = [
      ...createOperationsRoutes(deps),
      ...createAuditRoutes({ store, access }),
      ...createWorkspaceRoutes({ ...workspaceDeps(store), access }),
    ];
    api = await serveApi(routes, { idempotency: new Idempotency(store, clock) });
    [owner, operator, observer, user] = [
      await insertAdmin("admin-owner"),
      await insertAdmin("admin-operator"),
      await insertAdmin("admin-observer"),
      await insertUser(store),
    ];
  });
  afterEach(() => api.close());

  const insertAdmin = async (role: string) => {
    const id = await insertUser(store);
    await store.write((tx) => tx.run("update users set admin_role = ? where id = ?", [role, id]));
    return id;
  };
  const get = (caller: string, path: string) => api.call("GET", path, { user: caller });
  const post = (caller: string, path: string, body: object = {}, key: string | null = `key-${(keys += 1)}`) =>
    api.call("POST", path, {
      user: caller,
      body: { reason: "asked for", ...body },
      ...(key === null ? {} : { headers: { "idempotency-key": key } }),
    });
  const ofUser = (id: string, verb: string) => `/admin/auth/users/${id}/${verb}`;
  const outcome = ({ status, body }: { status: number; body: { code?: string } | null }) => [
    status,
    body?.code ?? null,
  ];
  const statusOf = async (id: string) =>
    (await store.read((tx) => tx.get<{ status: string }>("select status from users where id = ?", [id])))?.status;
  const insertSession = (userId: string) =>
    store.write((tx) =>
      tx.run("insert into refresh_sessions (id, user_id, token_hash, expires_at, created_at) values (?, ?, ?, ?, 0)", [
        `session-${userId}`,
        userId,
        `hash-${userId}`,
        Number.MAX_SAFE_INTEGER,
      ]),
    );

  it("is for administrators, each as far as his role goes", async () => {
    for (const path of ["/admin/overview", "/admin/auth/users", "/admin/workspaces", "/admin/settings"]) {
      expect(outcome(await get(user, path))).toEqual([403, "forbidden"]);
      expect((await get(observer, path)).status).toBe(200);
    }
    expect(outcome(await post(observer, ofUser(user, "suspend")))).toEqual([403, "forbidden"]);
    expect(outcome(await post(operator, ofUser(user, "admin-role"), { role: "admin-observer" }))).toEqual([
      403,
      "forbidden",
    ]);
    const change = { user: operator, body: { allow_signup: true, reason: "asked for" } };
    expect(outcome(await api.call("PATCH", "/admin/settings", change))).toEqual([403, "forbidden"]);
  });

  it("counts what there is", async () => {
    await insertWorkspace(store, { [user]: "owner" });
    await post(operator, ofUser(user, "suspend"));
    expect((await get(observer, "/admin/overview")).body).toEqual({
      version: "1.2.3",
      users: { active: 3, suspended: 1, administrators: 3 },
      workspaces: { active: 1, suspended: 0, deleted: 0 },
      projects: 0,
      runs: { going: 0, waiting: 0 },
      jobs: { queued: 0, running: 0 },
    });
  });

  it("finds users by address, name and status, a page at a time", async () => {
    const found = async (query: string) =>
      (await get(observer, `/admin/auth/users?${query}`)).body.users.map((one: { id: string }) => one.id);
    await store.write((tx) => tx.run("update users set name = 'Grace 100%' where id = ?", [user]));
    expect(await found(`email=${user}@EXAMPLE.com`)).toEqual([user]);
    expect(await found(`user_id=${operator}`)).toEqual([operator]);
    expect(await found("search=gRACE")).toEqual([user]);
    expect(await found("search=0%25")).toEqual([user]);
    expect(await found("search=nobody")).toEqual([]);
    expect(await found("status=suspended")).toEqual([]);
    const seen: string[] = [];
    let cursor: string | null = "";
    while (cursor !== null) {
      const page = await get(observer, `/admin/auth/users?limit=3${cursor === "" ? "" : `&cursor=${cursor}`}`);
      seen.push(...page.body.users.map((one: { id: string }) => one.id));
      cursor = page.body.next_cursor;
    }
    expect(seen.toSorted()).toEqual([owner, operator, observer, user].toSorted());
    expect(JSON.stringify((await get(observer, "/admin/auth/users")).body)).not.toContain("password");
  });

  it("suspends a user: his sessions and rights end, and come back only as he signs in again", async () => {
    const workspace = await insertWorkspace(store, { [user]: "owner" });
    await insertSession(user);
    const suspended = await post(operator, ofUser(user, "suspend"));
    expect(suspended.body).toMatchObject({ id: user, status: "suspended", correlation_id: expect.any(String) });
    expect(told).toEqual([{ userId: user }]);
    expect(outcome(await get(user, `/workspaces/${workspace}`))).toEqual([403, "forbidden"]);
    expect(outcome(await post(operator, ofUser(user, "suspend")))).toEqual([409, "user-already-suspended"]);
    expect((await post(operator, ofUser(user, "reactivate"))).body.status).toBe("active");
    expect((await get(user, `/workspaces/${workspace}`)).status).toBe(200);
    expect(outcome(await post(operator, ofUser(user, "reactivate")))).toEqual([409, "user-not-suspended"]);
    expect((await post(operator, ofUser(user, "revoke-sessions"))).body.sessions_revoked).toBe(0);
  });

  it("ends the sessions of a user and says how many", async () => {
    await insertSession(user);
    expect((await post(operator, ofUser(user, "revoke-sessions"))).body.sessions_revoked).toBe(1);
    expect(await statusOf(user)).toBe("active");
  });

  it("lets owners only change administrators, and always keeps one owner", async () => {
    for (const verb of ["suspend", "revoke-sessions"]) {
      expect(outcome(await post(operator, ofUser(owner, verb)))).toEqual([403, "forbidden"]);
      expect(outcome(await post(operator, ofUser(observer, verb)))).toEqual([403, "forbidden"]);
    }
    expect(outcome(await post(owner, ofUser(owner, "suspend")))).toEqual([409, "last-admin-owner"]);
    const resign = { role: "admin-observer" };
    expect(outcome(await post(owner, ofUser(owner, "admin-role"), resign))).toEqual([409, "last-admin-owner"]);
    expect((await post(owner, ofUser(user, "admin-role"), { role: "admin-owner" })).body.admin_role).toBe(
      "admin-owner",
    );
    expect((await post(owner, ofUser(owner, "admin-role"), { role: null })).body.admin_role).toBe(null);
    expect(outcome(await get(owner, "/admin/overview"))).toEqual([403, "forbidden"]);
  });

  it("leaves no trace of a role that a user is given again", async () => {
    const again = await post(owner, ofUser(operator, "admin-role"), { role: "admin-operator" });
    expect([again.status, again.body.admin_role]).toEqual([200, "admin-operator"]);
    expect((await post(owner, ofUser(user, "admin-role"), { role: null })).status).toBe(200);
    expect((await get(observer, "/admin/audit-events?action=user.admin_role_changed")).body.audit_events).toEqual([]);
    expect(told).toEqual([]);
  });

  it("keeps an owner when two take each other's role away at the same moment", async () => {
    await post(owner, ofUser(user, "admin-role"), { role: "admin-owner" });
    const answers = await Promise.all([
      post(owner, ofUser(user, "admin-role"), { role: null }),
      post(user, ofUser(owner, "admin-role"), { role: null }),
    ]);
    expect(answers.map(({ status }) => status).toSorted((left, right) => left - right)).toEqual([200, 403]);
  });

  it("suspends and reopens a workspace, and leaves a deleted one alone", async () => {
    const workspace = await insertWorkspace(store, { [user]: "owner" });
    const path = `/admin/workspaces/${workspace}`;
    const suspended = await post(operator, `${path}/suspend`);
    expect(suspended.body).toMatchObject({ workspace_id: workspace, status: "suspended" });
    expect(told).toEqual([{ workspaceId: workspace }]);
    expect(outcome(await get(user, `/workspaces/${workspace}`))).toEqual([409, "workspace-suspended"]);
    expect(outcome(await post(operator, `${path}/suspend`))).toEqual([409, "workspace-already-suspended"]);
    expect((await get(observer, "/admin/workspaces?status=suspended")).body.workspaces).toMatchObject([
      { id: workspace, members: 1, projects: 0, status: "suspended" },
    ]);
    expect((await post(operator, `${path}/reactivate`)).body.status).toBe("active");
    expect(told.slice(1)).toEqual([{ workspaceId: workspace }, { reopened: workspace }]);
    expect(outcome(await post(operator, `${path}/reactivate`))).toEqual([409, "workspace-not-suspended"]);
    await store.write((tx) => tx.run("update workspaces set status = 'deleted' where id = ?", [workspace]));
    expect(outcome(await post(operator, `${path}/reactivate`))).toEqual([409, "workspace-deleted"]);
    expect(outcome(await post(operator, `/admin/workspaces/${user}/suspend`))).toEqual([404, "workspace-not-found"]);
  });

  it("asks for a key and a reason, repeats nothing under one key, and writes the reason down", async () => {
    expect(outcome(await post(operator, ofUser(user, "suspend"), {}, null))).toEqual([400, "idempotency-key-required"]);
    expect(outcome(await post(operator, ofUser(user, "suspend"), { reason: " " }))).toEqual([400, "validation-error"]);
    expect(await statusOf(user)).toBe("active");
    const first = await post(operator, ofUser(user, "suspend"), { reason: "left" }, "once");
    const again = await post(operator, ofUser(user, "suspend"), { reason: "left" }, "once");
    expect([again.status, again.body]).toEqual([first.status, first.body]);
    expect(outcome(await post(operator, ofUser(user, "suspend"), { reason: "other" }, "once"))).toEqual([
      409,
      "idempotency-key-reused",
    ]);
    const { audit_events } = (await get(observer, "/admin/audit-events?action=user.suspended")).body;
    expect(audit_events).toMatchObject([
      {
        actor: { user_id: operator },
        target: { id: user },
        details: { reason: "left" },
        request_id: first.body.correlation_id,
      },
    ]);
  });

  it("changes settings at once and for good, and gives them back to how the server was started", async () => {
    const change = (body: object) =>
      api.call("PATCH", "/admin/settings", { user: owner, body: { reason: "asked for", ...body } });
    expect(outcome(await change({}))).toEqual([400, "validation-error"]);
    expect((await change({ allow_signup: true, max_concurrent_runs: 3 })).body).toEqual({
      allow_signup: { value: true, own: true },
      max_concurrent_runs: { value: 3, own: true },
    });
    expect([settings.allowSignup, settings.maxConcurrentRuns, told]).toEqual([true, 3, ["limits"]]);
    const restarted = await ServerSettings.open(store, { ...STARTED, max_concurrent_runs: 50 });
    expect(restarted.effective).toEqual(settings.effective);
    await change({ max_concurrent_runs: null });
    expect((await get(observer, "/admin/settings")).body).toEqual({
      allow_signup: { value: true, own: true },
      max_concurrent_runs: { value: 20, own: false },
    });
  });

  it("tells strangers only whether the first account is still to be made", async () => {
    expect((await api.call("GET", "/admin/auth/bootstrap-state")).body).toEqual({ state: "available" });
    await store.write((tx) => tx.run("insert into instance (id, first_user_id, created_at) values (1, ?, 0)", [owner]));
    expect((await api.call("GET", "/admin/auth/bootstrap-state")).body).toEqual({ state: "closed" });
  });
});
