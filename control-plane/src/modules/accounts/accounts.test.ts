import { expect, it } from "vitest";
import { beforeEach, afterEach } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, silentLog, TEST_ROOT_KEY, testClock, testTokens } from "../../testing/api.ts";
import { Mail } from "../mail/public.ts";
import { Envelope } from "../secrets/public.ts";
import { createAccounts, needsSetup, Passwords, setupToken } from "./public.ts";

const PASSWORD = "correct horse battery";
const ada = { email: "Ada@Example.com ", password: PASSWORD, name: "Ada" };
const elsewhere = { "x-forwarded-for": "203.0.113.9" };
const SECOND_MS = 1_000;

describeStores("accounts", (open) => {
  let store: Store;
  let clock: ReturnType<typeof testClock>;
  let api: Api;
  const servers: Api[] = [];
  const passwords = new Passwords();

  async function serve(options: { allowSignup?: boolean; publicUrl?: string } = {}): Promise<Api> {
    const { allowSignup = false, publicUrl = "http://localhost:16101" } = options;
    const { routes } = createAccounts({
      store,
      clock,
      accessChanged: () => {},
      log: silentLog,
      tokens: testTokens,
      passwords,
      mail: new Mail({ store, clock, log: silentLog, envelope: new Envelope(TEST_ROOT_KEY), smtp: null }),
      rootKey: TEST_ROOT_KEY,
      limits: { loginPerAddress: 0, loginPerEmail: 0, mailPerAddress: 0, mailPerEmail: 0 },
      allowSignup,
      allowedAddresses: { domains: [], emails: [] },
      publicUrl,
    });
    const served = await serveApi(routes);
    servers.push(served);
    return served;
  }

  beforeEach(async () => {
    store = await open();
    clock = testClock(Date.now());
    api = await serve();
  });
  afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())));

  const signUp = (body: unknown = ada, headers: Record<string, string> = {}) =>
    api.call("POST", "/auth/signup", { body, headers });
  const logIn = (body: unknown = { email: "ada@example.com", password: PASSWORD }) =>
    api.call("POST", "/auth/login", { body });
  const refresh = (cookie: string | null) =>
    api.call("POST", "/auth/refresh", { headers: cookie === null ? {} : { cookie } });

  function cookieOf(reply: { headers: Headers }): string {
    return reply.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  }

  it("makes the first account from this machine: owner, verified, signed in", async () => {
    expect(await store.read(needsSetup)).toBe(true);
    const reply = await signUp();
    expect(reply).toMatchObject({
      status: 201,
      body: {
        user: { email: "ada@example.com", name: "Ada", status: "active" },
        membership: null,
        admin_role: "admin-owner",
      },
    });
    expect(reply.body.user.email_verified_at).toBe(new Date(clock.now()).toISOString());
    expect(await store.read(needsSetup)).toBe(false);
    const me = await api.call("GET", "/auth/me", { headers: { authorization: `Bearer ${reply.body.token}` } });
    expect(me).toMatchObject({ status: 200, body: { user: reply.body.user, admin_role: "admin-owner" } });
  });

  it("asks for the setup token from anywhere else", async () => {
    expect(await signUp(ada, elsewhere)).toMatchObject({ status: 403, body: { code: "setup-token-required" } });
    const wrong = { ...ada, setup_token: "guessed" };
    expect(await signUp(wrong, elsewhere)).toMatchObject({ status: 403, body: { code: "setup-token-required" } });
    expect(await store.read(needsSetup)).toBe(true);
    const right = { ...ada, setup_token: setupToken(TEST_ROOT_KEY) };
    expect(await signUp(right, elsewhere)).toMatchObject({ status: 201, body: { admin_role: "admin-owner" } });
  });

  it("makes exactly one owner of two who come first at the same moment", async () => {
    const both = await Promise.all([signUp(), signUp({ ...ada, email: "bob@example.com" })]);
    expect(both.map((reply) => reply.status).sort((a, b) => a - b)).toEqual([201, 403]);
    expect(both.find((reply) => reply.status === 403)?.body.code).toBe("signup-not-allowed");
    expect(await store.read((tx) => tx.all("select admin_role from users"))).toEqual([{ admin_role: "admin-owner" }]);
  });

  it("is closed after the first account, to this machine and to the setup token, unless the operator opens it", async () => {
    await signUp();
    const bob = { ...ada, email: "bob@example.com", setup_token: setupToken(TEST_ROOT_KEY) };
    expect(await signUp(bob)).toMatchObject({ status: 403, body: { code: "signup-not-allowed" } });
    api = await serve({ allowSignup: true });
    expect(await signUp(bob, elsewhere)).toMatchObject({ status: 201, body: { admin_role: null } });
    expect(await signUp(bob)).toMatchObject({ status: 409, body: { code: "email-taken" } });
  });

  it("refuses short passwords and names with control characters", async () => {
    expect(await signUp({ ...ada, password: "short" })).toMatchObject({
      status: 400,
      body: { code: "validation-error" },
    });
    expect(await signUp({ ...ada, name: "A\u0007da" })).toMatchObject({
      status: 400,
      body: { code: "validation-error" },
    });
  });

  it("signs in with the right password only, and tells nobody whether an account exists", async () => {
    await signUp();
    expect(await logIn()).toMatchObject({
      status: 200,
      body: { user: { name: "Ada" }, membership: null, admin_role: "admin-owner" },
    });
    const wrong = await logIn({ email: "ada@example.com", password: "wrong" });
    const unknown = await logIn({ email: "nobody@example.com", password: "wrong" });
    expect(wrong).toMatchObject({ status: 401, body: { code: "invalid-credentials" } });
    expect(unknown.body).toEqual(wrong.body);
    await store.write((tx) => tx.run("update users set status = 'suspended'"));
    expect((await logIn()).body).toEqual(wrong.body);
  });

  it("tells the oldest membership", async () => {
    const { user } = (await signUp()).body;
    const now = clock.now();
    const ids = ["0198c0de-0000-7000-8000-000000000001", "0198c0de-0000-7000-8000-000000000002"];
    await store.write(async (tx) => {
      for (const [index, id] of ids.entries()) {
        await tx.run("insert into workspaces values (?, 'W', ?, 'active', 0, 0, 0)", [id, `w-${index}`]);
        await tx.run("insert into memberships values (?, ?, ?, 'owner', ?, ?)", [id, user.id, id, now - index, now]);
      }
    });
    expect((await logIn()).body.membership).toEqual({ id: ids[1], user_id: user.id, workspace_id: ids[1] });
  });

  it("sets the published cookie, Secure only behind https", async () => {
    const reply = await signUp();
    const attributes = reply.headers.getSetCookie()[0]?.split("; ").slice(1).sort();
    expect(attributes).toEqual(["HttpOnly", "Max-Age=1209600", "Path=/auth", "SameSite=Lax"]);
    expect(cookieOf(reply)).toMatch(/^shipfox_refresh_token=sf_r_[A-Za-z0-9_-]{43}$/);
    api = await serve({ publicUrl: "https://ci.example.com" });
    expect((await logIn()).headers.getSetCookie()[0]).toContain("; Secure");
  });

  it("rotates the cookie at each refresh, and takes the former one for 30 s more without a new cookie", async () => {
    const first = cookieOf(await signUp());
    const rotated = await refresh(first);
    expect(rotated).toMatchObject({ status: 200, body: { user: { name: "Ada" } } });
    expect(cookieOf(rotated)).not.toBe(first);
    clock.advance(30 * SECOND_MS);
    const again = await refresh(first);
    expect(again.status).toBe(200);
    expect(again.headers.getSetCookie()).toEqual([]);
    expect((await refresh(cookieOf(rotated))).status).toBe(200);
  });

  it("ends all sessions of a user whose former cookie turns up later", async () => {
    const first = cookieOf(await signUp());
    const other = cookieOf(await logIn());
    const rotated = cookieOf(await refresh(first));
    clock.advance(30 * SECOND_MS + 1);
    const reused = await refresh(first);
    expect(reused).toMatchObject({ status: 401, body: { code: "unauthorized" } });
    expect(reused.headers.getSetCookie()[0]).toMatch(/^shipfox_refresh_token=;.*Max-Age=0/);
    expect([(await refresh(rotated)).status, (await refresh(other)).status]).toEqual([401, 401]);
  });

  it("also when the cookie was replaced more than once since", async () => {
    const first = cookieOf(await signUp());
    const third = cookieOf(await refresh(cookieOf(await refresh(first))));
    expect((await refresh(first)).status).toBe(401);
    expect((await refresh(third)).status).toBe(401);
  });

  it("gives two tabs that refresh at the same moment a session each, and one new cookie", async () => {
    const cookie = cookieOf(await signUp());
    const replies = await Promise.all([refresh(cookie), refresh(cookie)]);
    expect(replies.map((reply) => reply.status)).toEqual([200, 200]);
    expect(replies.flatMap((reply) => reply.headers.getSetCookie())).toHaveLength(1);
  });

  it("refuses missing, foreign, expired and suspended sessions and clears the cookie", async () => {
    const cookie = cookieOf(await signUp());
    for (const bad of [null, "shipfox_refresh_token=x", `shipfox_refresh_token=sf_r_${"A".repeat(43)}`]) {
      const reply = await refresh(bad);
      expect(reply.status).toBe(401);
      expect(reply.headers.getSetCookie()[0]).toMatch(/Max-Age=0/);
    }
    await store.write((tx) => tx.run("update users set status = 'suspended'"));
    expect((await refresh(cookie)).status).toBe(401);
    await store.write((tx) => tx.run("update users set status = 'active'"));
    clock.advance(14 * 86_400 * SECOND_MS);
    expect((await refresh(cookie)).status).toBe(401);
  });

  it("logs out with or without cookie, bearer and body", async () => {
    const { body: signedUp, headers } = await signUp();
    const cookie = cookieOf({ headers });
    const bearer = { authorization: `Bearer ${signedUp.token}` };
    for (const options of [{}, { body: {} }, { headers: { authorization: "Bearer nonsense" } }]) {
      const reply = await api.call("POST", "/auth/logout", options);
      expect(reply.status).toBe(204);
      expect(reply.headers.getSetCookie()[0]).toMatch(/Max-Age=0/);
    }
    expect((await refresh(cookie)).status).toBe(200);
    expect((await api.call("POST", "/auth/logout", { headers: bearer })).status).toBe(204);
    expect((await refresh(cookie)).status).toBe(401);

    const second = cookieOf(await logIn());
    expect((await api.call("POST", "/auth/logout", { headers: { cookie: second } })).status).toBe(204);
    expect((await refresh(second)).status).toBe(401);
    const ended = "select actor_user_id from audit_events where action = 'session.ended'";
    const actor = { actor_user_id: signedUp.user.id };
    expect(await store.read((tx) => tx.all(ended))).toEqual([actor, actor]);
  });

  it("answers 404 to somebody whose account is gone", async () => {
    expect(await api.call("GET", "/auth/me", { user: "0198c0de-0000-7000-8000-000000000009" })).toMatchObject({
      status: 404,
      body: { code: "not-found" },
    });
    expect((await api.call("GET", "/auth/me")).status).toBe(401);
  });

  it("stores neither passwords nor tokens", async () => {
    const reply = await signUp();
    const rows = await store.read(async (tx) => [
      ...(await tx.all("select * from users")),
      ...(await tx.all("select * from refresh_sessions")),
    ]);
    expect(JSON.stringify(rows)).not.toContain(PASSWORD);
    expect(JSON.stringify(rows)).not.toContain(cookieOf(reply).split("=")[1]);
  });
});
