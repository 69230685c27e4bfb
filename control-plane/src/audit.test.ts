import { newId } from "@shipfox/shared/ids";
import { hashToken, newToken, tokenPrefix } from "@shipfox/shared/tokens";
import { expect, it } from "vitest";
import { z } from "zod";
import { createAuthenticate } from "./http/authenticate.ts";
import { route } from "./http/route.ts";
import { createAccessTokens } from "./modules/access-tokens/public.ts";
import { createAuditRoutes, deleteOldAuditEvents, ForbiddenCalls } from "./modules/audit/public.ts";
import { access, createWorkspaceRoutes } from "./modules/workspaces/public.ts";
import { requireAbility } from "./http/access.ts";
import { systemClock } from "./store/clock.ts";
import type { AuditEventRow } from "./store/schema.ts";
import type { Store } from "./store/store.ts";
import { describeStores } from "./store/testing.ts";
import { serveApi, silentLog, testTokens } from "./testing/api.ts";
import { insertUser, insertWorkspace, workspaceDeps } from "./testing/rows.ts";

const logOf = (store: Store) => store.read((tx) => tx.all<AuditEventRow>("select * from audit_events order by id"));

/** The routes of workspaces, and one that needs `runs:read` in the workspace that the query names. */
async function serve(store: Store) {
  const guarded = route({
    method: "GET",
    path: "/guarded/{workspaceId}",
    tag: "Test",
    summary: "Guarded",
    credential: "user",
    needs: "runs:read",
    params: z.object({ workspaceId: z.string() }),
    responses: { 204: null },
    handle: async ({ principal, params: { workspaceId } }) => {
      await store.read((tx) => requireAbility(access, tx, principal, workspaceId));
      return { status: 204 };
    },
  });
  return serveApi([...createWorkspaceRoutes(workspaceDeps(store)), guarded], {
    authenticate: createAuthenticate(testTokens, createAccessTokens({ store, clock: systemClock, log: silentLog })),
    forbidden: new ForbiddenCalls(store, silentLog).note,
  });
}

async function mint(store: Store, userId: string, workspaceId: string, abilities: string[]) {
  const raw = newToken("pat");
  const sql = `insert into access_tokens (id, user_id, workspace_id, name, prefix, token_hash, abilities, created_at)
    values (?, ?, ?, 'ci', ?, ?, ?, 0)`;
  const values = [newId(), userId, workspaceId, tokenPrefix(raw), hashToken(raw), JSON.stringify(abilities)];
  await store.write((tx) => tx.run(sql, values));
  return { authorization: `Bearer ${raw}` };
}

describeStores("the audit log", (open) => {
  it("tells who did what from where, in the transaction of the change, and cannot be changed", async () => {
    const store = await open();
    const ada = await insertUser(store);
    const api = await serve(store);
    const headers = { "x-request-id": "deploy-7", "user-agent": "curl/8" };
    const made = await api.call("POST", "/workspaces", { user: ada, body: { name: "Ada's" }, headers });
    const taken = await api.call("POST", "/workspaces", { user: ada, body: { name: "B", slug: made.body.slug } });
    expect([made.status, taken.status]).toEqual([201, 409]);
    expect(await logOf(store)).toMatchObject([
      {
        workspace_id: made.body.id,
        actor_type: "user",
        actor_user_id: ada,
        action: "workspace.created",
        outcome: "done",
        target_id: made.body.id,
        ip: "127.0.0.1",
        user_agent: "curl/8",
        request_id: "deploy-7",
      },
    ]);
    await expect(store.write((tx) => tx.run("update audit_events set action = 'nothing'"))).rejects.toThrow(
      "append-only",
    );
    expect(await logOf(store)).toHaveLength(1);
    await api.close();
  });

  it("keeps what a token was refused: another workspace, a missing ability, the account of its owner", async () => {
    const store = await open();
    const ada = await insertUser(store);
    const [own, other] = [
      await insertWorkspace(store, { [ada]: "owner" }),
      await insertWorkspace(store, { [ada]: "owner" }),
    ];
    const api = await serve(store);
    const reader = await mint(store, ada, own, ["runs:read"]);
    const starter = await mint(store, ada, own, ["runs:start"]);
    const calls = [
      await api.call("GET", `/guarded/${own}`, { headers: reader }),
      await api.call("GET", `/guarded/${other}`, { headers: reader }),
      await api.call("GET", `/guarded/${own}`, { headers: starter }),
      await api.call("POST", "/workspaces", { headers: reader, body: { name: "More" } }),
      await api.call("GET", `/guarded/${own}`, { headers: { authorization: `Bearer ${newToken("pat")}` } }),
    ];
    expect(calls.map((call) => call.status)).toEqual([204, 403, 403, 403, 401]);
    await store.write((tx) => tx.run("update access_tokens set revoked_at = 1"));
    expect((await api.call("GET", `/guarded/${own}`, { headers: reader })).status).toBe(401);
    await expect.poll(() => logOf(store)).toHaveLength(3);
    const refused = await logOf(store);
    expect(refused.map((entry) => [entry.action, entry.actor_type, entry.workspace_id, entry.target_name])).toEqual([
      ["call.forbidden", "access_token", other, "runs:read"],
      ["call.forbidden", "access_token", own, "runs:read"],
      ["call.forbidden", "access_token", own, "account"],
    ]);
    await api.close();
  });

  it("keeps a bounded number of refused calls of one user", async () => {
    const store = await open();
    const mallory = await insertUser(store);
    const workspace = await insertWorkspace(store, {});
    const api = await serve(store);
    for (let call = 0; call < 40; call += 1) await api.call("GET", `/guarded/${workspace}`, { user: mallory });
    await expect.poll(() => logOf(store)).toHaveLength(30);
    await api.close();
  });
});

describeStores("the list of the audit log", (open) => {
  it("is for those who see settings, filtered and page by page, and for administrators of the server over all", async () => {
    const store = await open();
    const [ada, bob] = [await insertUser(store), await insertUser(store)];
    const workspace = await insertWorkspace(store, { [ada]: "admin", [bob]: "viewer" });
    const other = await insertWorkspace(store, {});
    const origin = { ip: "10.0.0.1", requestId: "r", userAgent: null, at: Date.now() };
    for (const [index, workspaceId] of [workspace, workspace, workspace, other, null].entries()) {
      const actor = { userId: index === 2 ? bob : ada, token: null, origin: { ...origin, at: origin.at + index } };
      const action = index === 1 ? "secret.set" : "project.created";
      await store.write((tx) => tx.audit(actor, { workspaceId, action, target: { type: "thing", id: `${index}` } }));
    }
    const api = await serveApi(createAuditRoutes({ store, access }));
    const targets = async (user: string, path: string) => {
      const { status, body } = await api.call("GET", path, { user });
      return status === 200 ? body.audit_events.map((one: { target: { id: string } }) => one.target.id) : status;
    };
    const path = `/workspaces/${workspace}/audit-events`;
    expect(await targets(ada, path)).toEqual(["2", "1", "0"]);
    expect(await targets(ada, `${path}?action=secret.set`)).toEqual(["1"]);
    expect(await targets(ada, `${path}?actor_user_id=${bob}`)).toEqual(["2"]);
    expect(await targets(ada, `${path}?from=${new Date(origin.at + 1).toISOString()}`)).toEqual(["2", "1"]);
    expect(await targets(bob, path)).toBe(403);
    const first = await api.call("GET", `${path}?limit=2`, { user: ada });
    expect(first.body.audit_events[0]).toMatchObject({
      actor: { type: "user", user_id: bob, email: `${bob}@example.com` },
    });
    expect(await targets(ada, `${path}?limit=2&cursor=${first.body.next_cursor}`)).toEqual(["0"]);
    expect(await targets(ada, "/admin/audit-events")).toBe(403);
    await store.write((tx) => tx.run("update users set admin_role = 'admin-observer' where id = ?", [ada]));
    expect(await targets(ada, "/admin/audit-events?action=project.created")).toEqual(["4", "3", "2", "0"]);
    expect(await deleteOldAuditEvents(store, 1_000, origin.at + 2_000)).toBeNull();
    expect(await logOf(store)).toEqual([]);
    await api.close();
  });
});
