import { newId } from "@shipfox/shared/ids";
import { expect, it } from "vitest";
import { z } from "zod";
import { createWorkspaceRoutes } from "./modules/workspaces/public.ts";
import type { Store } from "./store/store.ts";
import { describeStores } from "./store/testing.ts";
import { serveApi, testClock } from "./testing/api.ts";
import { insertUser, workspaceDeps } from "./testing/rows.ts";
import { Idempotency } from "./http/idempotency.ts";
import { route } from "./http/route.ts";

const DAY_MS = 24 * 3_600_000;

/** The routes of workspaces, and one that makes a secret in two entries of the audit log. */
async function serve(store: Store, clock = testClock(Date.now())) {
  const secret = route({
    method: "POST",
    path: "/secrets-for-test",
    tag: "Test",
    summary: "Makes a secret",
    credential: "user",
    needs: "account",
    audit: "secret.made",
    responses: { 201: z.object({ raw: z.string() }) },
    handle: async ({ principal }) => {
      const target = { type: "secret", id: newId() };
      await store.write(async (tx) => {
        await tx.audit(principal, { workspaceId: null, action: "secret.made", target });
        await tx.audit(principal, { workspaceId: null, action: "secret.shown", target });
      });
      return { status: 201, headers: { "cache-control": "no-store" }, body: { raw: "s3cret" } };
    },
  });
  const idempotency = new Idempotency(store, clock);
  const api = await serveApi([...createWorkspaceRoutes(workspaceDeps(store)), secret], { idempotency });
  return { api, clock, idempotency };
}

const workspaces = (store: Store) => store.read((tx) => tx.all<{ id: string }>("select id from workspaces"));

describeStores("an Idempotency-Key", (open) => {
  it("lets a call take effect once, however often and however much at once it is made", async () => {
    const store = await open();
    const ada = await insertUser(store);
    const { api } = await serve(store);
    const make = (key: string, name = "Once") =>
      api.call("POST", "/workspaces", { user: ada, body: { name }, headers: { "idempotency-key": key } });
    const first = await make("k1");
    const again = await make("k1");
    expect([first.status, again.status, again.body]).toEqual([201, 201, first.body]);
    expect([first.headers.get("idempotency-replayed"), again.headers.get("idempotency-replayed")]).toEqual([
      null,
      "true",
    ]);
    const crowd = await Promise.all(Array.from({ length: 12 }, () => make("k2")));
    expect(await workspaces(store)).toHaveLength(2);
    for (const reply of crowd)
      expect(reply.status === 201 || reply.body.code === "idempotency-replay-unavailable").toBe(true);
    expect((await make("k2")).status).toBe(201);
    await api.close();
  });

  it("belongs to one body, one path and one caller", async () => {
    const store = await open();
    const [ada, bob] = [await insertUser(store), await insertUser(store)];
    const { api } = await serve(store);
    const headers = { "idempotency-key": "k" };
    await api.call("POST", "/workspaces", { user: ada, body: { name: "A" }, headers });
    const other = await api.call("POST", "/workspaces", { user: ada, body: { name: "B" }, headers });
    expect([other.status, other.body.code]).toEqual([409, "idempotency-key-reused"]);
    expect((await api.call("POST", "/workspaces", { user: bob, body: { name: "A" }, headers })).status).toBe(201);
    const bad = await api.call("POST", "/workspaces", {
      user: ada,
      body: { name: "A" },
      headers: { "idempotency-key": "a b" },
    });
    expect([bad.status, bad.body.code]).toEqual([400, "validation-error"]);
    expect(await workspaces(store)).toHaveLength(2);
    await api.close();
  });

  it("of a call that failed is free again, and after a day as well", async () => {
    const store = await open();
    const ada = await insertUser(store);
    const { api, clock, idempotency } = await serve(store);
    const make = (slug: string) =>
      api.call("POST", "/workspaces", { user: ada, body: { name: "N", slug }, headers: { "idempotency-key": "k" } });
    await api.call("POST", "/workspaces", { user: ada, body: { name: "N", slug: "taken" } });
    expect((await make("taken")).status).toBe(409);
    expect((await make("free")).status).toBe(201);
    clock.advance(2 * DAY_MS);
    expect((await make("other")).status).toBe(201);
    clock.advance(2 * DAY_MS);
    expect(await idempotency.deleteOld(clock.now())).toBeNull();
    await api.close();
  });

  it("never makes a secret be told twice, and says what the first call made", async () => {
    const store = await open();
    const ada = await insertUser(store);
    const { api } = await serve(store);
    const make = () => api.call("POST", "/secrets-for-test", { user: ada, headers: { "idempotency-key": "k" } });
    expect((await make()).body).toEqual({ raw: "s3cret" });
    const again = await make();
    expect([again.status, again.body.code]).toEqual([409, "idempotency-replay-unavailable"]);
    expect(again.body.details.target).toMatchObject({ type: "secret" });
    const stored = await store.read((tx) => tx.all("select * from idempotency_keys"));
    expect(JSON.stringify(stored)).not.toContain("s3cret");
    await api.close();
  });
});
