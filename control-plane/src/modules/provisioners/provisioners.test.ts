import { newId } from "@shipfox/shared/ids";
import { hashToken, tokenKind } from "@shipfox/shared/tokens";
import { expect, it, onTestFinished } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { serveApi, testClock } from "../../testing/api.ts";
import { insertUser, insertWorkspace, memberAccess as access } from "../../testing/rows.ts";
import { createProvisionerRoutes, DemandWaiters } from "./public.ts";

describeStores("provisioner tokens", (open) => {
  async function start() {
    const store = await open();
    const clock = testClock();
    const [admin, viewer, stranger] = [await insertUser(store), await insertUser(store), await insertUser(store)];
    const workspaceId = await insertWorkspace(store, { [admin]: "admin", [viewer]: "viewer" });
    const api = await serveApi(createProvisionerRoutes({ store, clock, access, waiters: new DemandWaiters() }));
    onTestFinished(() => api.close());
    const call = (method: string, path: string, body?: unknown, user = admin) =>
      api.call(method, `/workspaces/${workspaceId}/provisioners${path}`, { user, ...(body ? { body } : {}) });
    return { store, clock, admin, viewer, stranger, workspaceId, call };
  }

  it("are shown once, kept as a hash, listed newest first and revoked", async () => {
    const { store, clock, admin, workspaceId, call } = await start();
    const made = await call("POST", "/tokens", { name: "aws", ttl_seconds: 60 });
    const { raw_token: raw, ...token } = made.body;
    expect(made.status).toBe(201);
    expect(tokenKind(raw)).toBe("pt");
    expect(token).toEqual({
      id: expect.any(String),
      workspace_id: workspaceId,
      prefix: raw.slice(0, 12),
      name: "aws",
      scope: "workspace",
      expires_at: new Date(clock.now() + 60_000).toISOString(),
      revoked_at: null,
      created_by_user_id: admin,
      revoked_by_user_id: null,
      last_seen_at: null,
      created_at: new Date(clock.now()).toISOString(),
      updated_at: new Date(clock.now()).toISOString(),
    });
    const rows = await store.read((tx) => tx.all("select * from provisioner_tokens"));
    expect(rows).toMatchObject([{ token_hash: hashToken(raw) }]);
    expect(JSON.stringify(rows)).not.toContain(raw);

    clock.advance(1_000);
    const second = (await call("POST", "/tokens", {})).body;
    expect(second).toMatchObject({ name: null, expires_at: null });
    const { tokens } = (await call("GET", "/tokens")).body;
    expect(tokens.map(({ id }: { id: string }) => id)).toEqual([second.id, token.id]);
    expect(JSON.stringify(tokens)).not.toContain("raw_token");

    const revoked = await call("POST", `/tokens/${token.id}/revoke`);
    expect(revoked).toMatchObject({ status: 200, body: { revoked_by_user_id: admin, revoked_at: expect.any(String) } });
    clock.advance(1_000);
    expect((await call("POST", `/tokens/${token.id}/revoke`)).body).toEqual(revoked.body);
    expect((await call("POST", `/tokens/${newId()}/revoke`)).body).toMatchObject({ code: "not-found" });
    for (const body of [{ name: "" }, { ttl_seconds: 0 }, { ttl_seconds: 31_536_001 }]) {
      expect((await call("POST", "/tokens", body)).status).toBe(400);
    }
  });

  it("are managed by those who manage runners, and nobody else sees them", async () => {
    const { viewer, stranger, call } = await start();
    const { id } = (await call("POST", "/tokens", {})).body;
    for (const user of [viewer, stranger]) {
      expect((await call("POST", "/tokens", {}, user)).status).toBe(403);
      expect((await call("GET", "/tokens", undefined, user)).status).toBe(403);
      expect((await call("POST", `/tokens/${id}/revoke`, undefined, user)).status).toBe(403);
    }
    expect((await call("GET", "/active", undefined, stranger)).status).toBe(403);
    expect((await call("GET", "/active", undefined, viewer)).body).toEqual({ provisioners: [] });
  });

  it("show which provisioners called lately", async () => {
    const { store, clock, viewer, call } = await start();
    const { id, prefix } = (await call("POST", "/tokens", { name: "aws" })).body;
    const gone = (await call("POST", "/tokens", { name: "gone" })).body;
    const now = clock.now();
    await store.write(async (tx) => {
      await tx.run("update provisioner_tokens set last_seen_at = ? where id = ?", [now - 1_000, id]);
      await tx.run("update provisioner_tokens set last_seen_at = ? where id = ?", [now - 120_000, gone.id]);
    });
    const active = async () => (await call("GET", "/active", undefined, viewer)).body.provisioners;
    const last_seen_at = new Date(now - 1_000).toISOString();
    expect(await active()).toEqual([{ id, name: "aws", prefix, last_seen_at, host: null, templates: [] }]);
    await call("POST", `/tokens/${id}/revoke`);
    expect(await active()).toEqual([]);
  });
});
