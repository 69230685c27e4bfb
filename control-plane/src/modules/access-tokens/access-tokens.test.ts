import type { Role } from "@shipfox/shared/api/workspaces";
import { newId } from "@shipfox/shared/ids";
import { newToken } from "@shipfox/shared/tokens";
import { afterEach, beforeEach, expect, it } from "vitest";
import { z } from "zod";
import { requireAbility } from "../../http/access.ts";
import { createAuthenticate } from "../../http/authenticate.ts";
import { originOf } from "../../http/origin.ts";
import { route } from "../../http/route.ts";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, silentLog, TEST_ROOT_KEY, testClock, testTokens } from "../../testing/api.ts";
import { insertUser, insertWorkspace } from "../../testing/rows.ts";
import { createAccounts, Passwords } from "../accounts/public.ts";
import { Mail } from "../mail/public.ts";
import { Envelope } from "../secrets/public.ts";
import { access } from "../workspaces/public.ts";
import { createAccessTokenRoutes, createAccessTokens, Tickets } from "./public.ts";

const PASSWORD = "correct horse battery";
const MINUTE_MS = 60_000;
const passwords = new Passwords();

describeStores("access tokens and stream tickets", (open) => {
  let store: Store;
  let clock: ReturnType<typeof testClock>;
  let api: Api;
  let tickets: Tickets;
  let ada: string;
  let workspace: string;
  let changed: object[];

  beforeEach(async () => {
    store = await open();
    clock = testClock();
    changed = [];
    tickets = new Tickets({ store, clock, access });
    const accounts = createAccounts({
      store,
      clock,
      accessChanged: () => {},
      log: silentLog,
      tokens: testTokens,
      passwords,
      mail: new Mail({ store, clock, log: silentLog, envelope: new Envelope(TEST_ROOT_KEY), smtp: null }),
      rootKey: TEST_ROOT_KEY,
      publicUrl: "http://localhost",
      allowSignup: false,
      allowedAddresses: { domains: [], emails: [] },
      limits: { loginPerAddress: 0, loginPerEmail: 2, mailPerAddress: 0, mailPerEmail: 0 },
    });
    const deps = {
      store,
      clock,
      access,
      tickets,
      accessChanged: (whose: object) => void changed.push(whose),
      confirmPassword: accounts.confirmPassword,
    };
    api = await serveApi([...createAccessTokenRoutes(deps), guarded()], {
      authenticate: createAuthenticate(testTokens, createAccessTokens({ store, clock, log: silentLog })),
    });
    ada = await signedInUser();
    workspace = await insertWorkspace(store, { [ada]: "owner" });
  });
  afterEach(() => api.close());

  /** A user with a password and the session that `api.call({ user })` claims. */
  async function signedInUser(): Promise<string> {
    const id = await insertUser(store);
    const hash = await passwords.hash(PASSWORD);
    await store.write(async (tx) => {
      await tx.run("update users set password_hash = ? where id = ?", [hash, id]);
      const sql =
        "insert into refresh_sessions (id, user_id, token_hash, expires_at, created_at) values (?, ?, ?, ?, 0)";
      await tx.run(sql, [id, id, id, Number.MAX_SAFE_INTEGER]);
    });
    return id;
  }

  /** Needs `runs:start` in the workspace of the path. */
  function guarded() {
    return route({
      method: "GET",
      path: "/guarded/{workspaceId}",
      tag: "Test",
      summary: "Guarded",
      credential: "user",
      needs: "runs:start",
      params: z.object({ workspaceId: z.string() }),
      responses: { 204: null },
      handle: async ({ principal, params: { workspaceId } }) => {
        await store.read((tx) => requireAbility(access, tx, principal, workspaceId));
        return { status: 204 };
      },
    });
  }

  const mint = (body: object = {}, user = ada) =>
    api.call("POST", "/auth/tokens", {
      user,
      body: { name: "ci", workspace_id: workspace, abilities: ["runs:start"], ...body },
    });
  const bearer = (raw: string) => ({ headers: { authorization: `Bearer ${raw}` } });
  const use = async (raw: string, id = workspace) => (await api.call("GET", `/guarded/${id}`, bearer(raw))).status;
  const setRole = (role: Role) => store.write((tx) => tx.run("update memberships set role = ?", [role]));

  it("are shown once, stored as a hash, and work in their workspace with their abilities", async () => {
    const { status, headers, body } = await mint();
    expect(status).toBe(201);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(body.raw_token).toMatch(/^sf_pat_[A-Za-z0-9_-]{43}$/);
    expect(body).toMatchObject({ name: "ci", prefix: body.raw_token.slice(0, 12), last_used_at: null });
    const rows = await store.read(async (tx) => [
      ...(await tx.all("select * from access_tokens")),
      ...(await tx.all("select * from audit_events")),
    ]);
    expect(JSON.stringify(rows)).not.toContain(body.raw_token);
    expect(await use(body.raw_token)).toBe(204);
    expect(await use(body.raw_token, await insertWorkspace(store, { [ada]: "owner" }))).toBe(403);
    const { raw_token: reader } = (await mint({ abilities: ["runs:read"] })).body;
    expect(await use(reader)).toBe(403);
  });

  it("are never stronger than their owner, at any time", async () => {
    const { raw_token: raw } = (await mint()).body;
    await setRole("viewer");
    expect(await use(raw)).toBe(403);
    const refused = await mint();
    expect(refused).toMatchObject({ status: 403, body: { code: "forbidden", details: { needed: ["runs:start"] } } });
    await setRole("maintainer");
    expect(await use(raw)).toBe(204);
    await store.write((tx) => tx.run("delete from memberships"));
    expect(await use(raw)).toBe(403);
    expect((await mint()).status).toBe(403);
  });

  it("end with their time, with revocation and with the suspension of their owner, at once", async () => {
    const { id, raw_token: raw } = (await mint({ ttl_seconds: 120 })).body;
    clock.advance(119_000);
    expect(await use(raw)).toBe(204);
    clock.advance(1_000);
    expect(await use(raw)).toBe(401);
    const second = (await mint()).body;
    await store.write((tx) => tx.run("update users set status = 'suspended'"));
    expect(await use(second.raw_token)).toBe(401);
    await store.write((tx) => tx.run("update users set status = 'active'"));
    expect(await use(second.raw_token)).toBe(204);
    const other = await signedInUser();
    expect((await api.call("DELETE", `/auth/tokens/${second.id}`, { user: other })).status).toBe(404);
    expect((await api.call("DELETE", `/auth/tokens/${second.id}`, { user: ada })).status).toBe(204);
    expect(changed).toEqual([{ tokenId: second.id }]);
    expect(await use(second.raw_token)).toBe(401);
    expect((await api.call("DELETE", `/auth/tokens/${second.id}`, { user: ada })).status).toBe(404);
    const { body } = await api.call("GET", "/auth/tokens", { user: ada });
    expect(body.tokens.map((token: { id: string }) => token.id)).toEqual([id]);
  });

  it("ask for the password when an ability is sensitive", async () => {
    const sensitive = { abilities: ["runs:read", "secrets:write"] };
    expect(await mint(sensitive)).toMatchObject({
      status: 403,
      body: { code: "password-required", details: { sensitive: ["secrets:write"] } },
    });
    expect(await mint({ ...sensitive, current_password: "wrong" })).toMatchObject({
      status: 401,
      body: { code: "invalid-credentials" },
    });
    expect((await mint({ ...sensitive, current_password: PASSWORD })).status).toBe(201);
    // Whoever stole a sign-in guesses no oftener than at the front door.
    expect((await mint({ ...sensitive, current_password: PASSWORD })).status).toBe(429);
    const log = await store.read((tx) =>
      tx.all<{ action: string; outcome: string }>("select action, outcome from audit_events order by id"),
    );
    expect(log.map((entry) => [entry.action, entry.outcome])).toEqual([
      ["password.refused", "failed"],
      ["access_token.created", "done"],
    ]);
  });

  it("cannot mint, list or revoke tokens, but know themselves", async () => {
    const { id, raw_token: raw } = (await mint()).body;
    const body = { name: "more", workspace_id: workspace, abilities: ["runs:read"] };
    const tries = [
      await api.call("POST", "/auth/tokens", { ...bearer(raw), body }),
      await api.call("GET", "/auth/tokens", bearer(raw)),
      await api.call("DELETE", `/auth/tokens/${id}`, bearer(raw)),
    ];
    expect(tries.map((reply) => reply.status)).toEqual([403, 403, 403]);
    expect(await api.call("GET", "/auth/tokens/current", bearer(raw))).toMatchObject({ status: 200, body: { id } });
    expect((await api.call("GET", "/auth/tokens/current", { user: ada })).status).toBe(404);
  });

  it("remember roughly when they were used last", async () => {
    const { id, raw_token: raw } = (await mint()).body;
    const lastUse = async () =>
      (
        await store.read((tx) =>
          tx.get<{ last_used_at: number }>("select last_used_at from access_tokens where id = ?", [id]),
        )
      )?.last_used_at;
    const first = clock.now();
    await use(raw);
    await expect.poll(lastUse).toBe(first);
    clock.advance(4 * MINUTE_MS);
    await use(raw);
    clock.advance(MINUTE_MS);
    await use(raw);
    await expect.poll(lastUse).toBe(first + 5 * MINUTE_MS);
  });

  it("are listed by page, newest first", async () => {
    for (const name of ["one", "two", "three"]) {
      await mint({ name });
      clock.advance(1);
    }
    const names = (reply: { body: { tokens: { name: string }[] } }) => reply.body.tokens.map((token) => token.name);
    const first = await api.call("GET", "/auth/tokens?limit=2", { user: ada });
    expect(names(first)).toEqual(["three", "two"]);
    const rest = await api.call("GET", `/auth/tokens?limit=2&cursor=${first.body.next_cursor}`, { user: ada });
    expect([names(rest), rest.body.next_cursor]).toEqual([["one"], null]);
    expect(names(await api.call("GET", `/auth/tokens?workspace_id=${newId()}`, { user: ada }))).toEqual([]);
  });

  const ticketFor = async (body: object, call: object = { user: ada }) =>
    (await api.call("POST", "/auth/stream-tokens", { ...call, body })).body.ticket as string;
  const redeem = (ticket: string, path: string) => tickets.redeem(ticket, path);
  const refused = { code: "unauthorized" };

  it("open one stream, once, within a minute", async () => {
    const ticket = await ticketFor({ path: "/ws" });
    expect(ticket).toMatch(/^sf_st_/);
    expect(await redeem(ticket, "/ws")).toEqual({ userId: ada, refreshSessionId: ada, token: null });
    await expect(redeem(ticket, "/ws")).rejects.toMatchObject(refused);
    const late = await ticketFor({ path: "/ws" });
    clock.advance(MINUTE_MS);
    await expect(redeem(late, "/ws")).rejects.toMatchObject(refused);
    await expect(redeem(newToken("st"), "/ws")).rejects.toMatchObject(refused);
    const stored = await store.read((tx) => tx.all("select * from stream_tickets"));
    expect(JSON.stringify(stored)).not.toContain(late);
  });

  it("are worth nothing on another path, and are used up by the try", async () => {
    const ticket = await ticketFor({ path: "/steps/1/attempts/1/logs/stream" });
    await expect(redeem(ticket, "/ws")).rejects.toMatchObject(refused);
    await expect(redeem(ticket, "/steps/1/attempts/1/logs/stream")).rejects.toMatchObject(refused);
  });

  it("of two at the same moment let one in", async () => {
    const ticket = await ticketFor({ path: "/ws" });
    const both = await Promise.allSettled([redeem(ticket, "/ws"), redeem(ticket, "/ws")]);
    expect(both.map((result) => result.status).sort()).toEqual(["fulfilled", "rejected"]);
  });

  it("count in the workspace they name only, and are made for members only", async () => {
    const other = await insertWorkspace(store, { [ada]: "owner" });
    const principal = await redeem(await ticketFor({ path: "/ws", workspace_id: workspace }), "/ws");
    const origin = originOf({ ip: "", id: "", header: () => undefined });
    const caller = { ...principal, needs: "runs:read" as const, origin };
    await store.read((tx) => requireAbility(access, tx, caller, workspace));
    await expect(store.read((tx) => requireAbility(access, tx, caller, other))).rejects.toMatchObject({
      code: "forbidden",
    });
    const foreign = { path: "/ws", workspace_id: await insertWorkspace(store, {}) };
    expect((await api.call("POST", "/auth/stream-tokens", { user: ada, body: foreign })).status).toBe(403);
  });

  it("are as strong as the token that made them, and end with it and with the sign-in", async () => {
    const { id, raw_token: raw } = (await mint()).body;
    const own = await redeem(await ticketFor({ path: "/ws" }, bearer(raw)), "/ws");
    expect(own.token).toEqual({ id, workspaceId: workspace, abilities: ["runs:start"] });
    const orphan = await ticketFor({ path: "/ws" }, bearer(raw));
    const signedOut = await ticketFor({ path: "/ws" });
    await store.write(async (tx) => {
      await tx.run("update access_tokens set revoked_at = 1");
      await tx.run("update refresh_sessions set revoked_at = 1");
    });
    await expect(redeem(orphan, "/ws")).rejects.toMatchObject(refused);
    await expect(redeem(signedOut, "/ws")).rejects.toMatchObject(refused);
  });

  it("are bounded for each user", async () => {
    for (let made = 0; made < 100; made += 1) await ticketFor({ path: "/ws" });
    const reply = await api.call("POST", "/auth/stream-tokens", { user: ada, body: { path: "/ws" } });
    expect([reply.status, reply.headers.get("retry-after")]).toEqual([429, "60"]);
    clock.advance(MINUTE_MS);
    await ticketFor({ path: "/ws" });
    expect(await store.read((tx) => tx.all("select path from stream_tickets"))).toHaveLength(1);
  });
});
