import { afterEach, beforeEach, expect, it } from "vitest";
import type { AuditEventRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, bearerOf, serveApi, silentLog, TEST_ROOT_KEY, testClock, testTokens } from "../../testing/api.ts";
import { codeIn, MailServer, tokenIn } from "../../testing/mail-server.ts";
import { rotatedRing } from "../../testing/rotated-ring.ts";
import type { RootKeys } from "../../http/root-keys.ts";
import { Mail, Smtp } from "../mail/public.ts";
import { Envelope } from "../secrets/public.ts";
import { createAccounts, Passwords, recoveryLink } from "./public.ts";

const PASSWORD = "correct horse battery";
const NEW_PASSWORD = "another horse entirely";
const SECOND_MS = 1_000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const NO_LIMITS = { loginPerAddress: 0, loginPerEmail: 0, mailPerAddress: 0, mailPerEmail: 0 };
const owner = { email: "owner@example.com", password: PASSWORD, name: "Owner" };
const ada = { email: "ada@example.com", password: PASSWORD, name: "Ada" };
const passwords = new Passwords();

describeStores("accounts", (open) => {
  let store: Store;
  let clock: ReturnType<typeof testClock>;
  let mail: Mail;
  let mails: MailServer;
  const apis: Api[] = [];

  beforeEach(async () => {
    store = await open();
    clock = testClock(Date.now());
    mails = await MailServer.start();
  });
  afterEach(async () => {
    await Promise.all(apis.splice(0).map((api) => api.close()));
    await mail.stop();
    await mails.close();
  });

  async function serve({
    withMail = true,
    limits = NO_LIMITS,
    rootKey = TEST_ROOT_KEY,
  }: {
    withMail?: boolean;
    limits?: typeof NO_LIMITS;
    rootKey?: Buffer | RootKeys;
  } = {}): Promise<Api> {
    const settings = { host: "127.0.0.1", port: mails.port, tls: "none", from: "ci@example.com" } as const;
    const smtp = withMail ? new Smtp({ ...settings, user: undefined, password: undefined, ca: undefined }) : null;
    mail = new Mail({ store, clock, log: silentLog, envelope: new Envelope(TEST_ROOT_KEY), smtp });
    mail.start();
    const { routes } = createAccounts({
      store,
      clock,
      accessChanged: () => {},
      log: silentLog,
      tokens: testTokens,
      passwords,
      mail,
      rootKey,
      allowSignup: true,
      allowedAddresses: { domains: ["example.com"], emails: [] },
      publicUrl: "http://localhost:16101",
      limits,
    });
    const api = await serveApi(routes);
    apis.push(api);
    return api;
  }

  const post = (api: Api, path: string, body: unknown, headers: Record<string, string> = {}) =>
    api.call("POST", path, { body, headers });
  const logIn = (api: Api, password = PASSWORD, email = ada.email) => post(api, "/auth/login", { email, password });
  const cookieOf = (reply: { headers: Headers }) => reply.headers.getSetCookie()[0]?.split(";")[0] ?? "";
  const auditLog = async () =>
    (await store.read((tx) => tx.all<AuditEventRow>("select * from audit_events order by id"))).map(
      ({ action, outcome }) => `${action} ${outcome}`,
    );

  /** The owner's account, which needs no code, and Ada's, whose code was mailed. */
  async function signUp(api: Api) {
    await post(api, "/auth/signup", owner);
    const { status, body, headers } = await post(api, "/auth/signup", ada);
    expect([status, body.token, headers.getSetCookie()]).toEqual([201, undefined, []]);
    const challenge_id: string = body.email_challenge.id;
    const code = codeIn(await mails.mailTo(ada.email));
    return { challenge_id, code, email: ada.email };
  }
  const wrongFor = (code: string) => (code === "00000000" ? "00000001" : "00000000");
  const confirm = (api: Api, body: { email: string; challenge_id: string; code: string }) =>
    post(api, "/auth/verify-email/confirm", body);
  const resend = (api: Api, challenge_id: string, email = ada.email) =>
    post(api, "/auth/verify-email/resend", { email, challenge_id });

  async function verified(api: Api): Promise<{ id: string; cookie: string }> {
    const reply = await confirm(api, await signUp(api));
    expect(reply.status).toBe(200);
    return { id: reply.body.user.id, cookie: cookieOf(reply) };
  }

  it("give the owner a session at once, and everybody else after the code of the mail", async () => {
    const api = await serve();
    const first = await post(api, "/auth/signup", owner);
    expect(first.body).toMatchObject({ admin_role: "admin-owner", token: expect.any(String) });
    const sent = await signUpAgain(api);
    expect(await logIn(api)).toMatchObject({ status: 403, body: { code: "email-not-verified" } });
    expect(await logIn(api, "wrong")).toMatchObject({ status: 401, body: { code: "invalid-credentials" } });
    const reply = await confirm(api, sent);
    expect(reply).toMatchObject({ status: 200, body: { user: { email: ada.email }, membership: null } });
    expect(reply.body.user.email_verified_at).toBe(new Date(clock.now()).toISOString());
    expect(cookieOf(reply)).toMatch(/^shipfox_refresh_token=sf_r_/);
    expect((await logIn(api)).status).toBe(200);
    expect(await confirm(api, sent)).toMatchObject({ status: 400, body: { code: "email-challenge-consumed" } });
    expect(await post(api, "/auth/signup", ada)).toMatchObject({ status: 409, body: { code: "email-taken" } });
  });

  it("are made for the allowed addresses only, and the owner", async () => {
    const api = await serve();
    expect((await post(api, "/auth/signup", { ...owner, email: "owner@other.example" })).status).toBe(201);
    for (const email of ["eve@other.example", "eve@sub.example.com"]) {
      expect(await post(api, "/auth/signup", { ...ada, email })).toMatchObject({
        status: 403,
        body: { code: "signup-not-allowed" },
      });
    }
    expect((await post(api, "/auth/signup", ada)).status).toBe(201);
    const rows = await store.read((tx) => tx.all<{ email: string }>("select email from users order by email"));
    expect(rows.map(({ email }) => email)).toEqual([ada.email, "owner@other.example"]);
  });

  const signUpAgain = async (api: Api, from = 0) => {
    const { body } = await post(api, "/auth/signup", ada);
    const code = codeIn(await mails.mailTo(ada.email, from));
    return { challenge_id: body.email_challenge.id as string, code, email: ada.email };
  };

  it("take a code after a rotation of the root key and a restart, unless tokens were revoked with it", async () => {
    const ring = await rotatedRing();
    const sent = await signUp(await serve({ rootKey: ring.keys }));
    await mail.stop();
    ring.rotate({ revokeTokens: false });
    const api = await serve({ rootKey: ring.reload() });
    expect(await confirm(api, { ...sent, code: wrongFor(sent.code) })).toMatchObject({ status: 400 });
    expect((await confirm(api, sent)).status).toBe(200);

    await store.write((tx) => tx.run("update users set email_verified_at = null"));
    const second = await signUpAgain(api, 1);
    ring.rotate({ revokeTokens: true });
    await mail.stop();
    const restarted = await serve({ rootKey: ring.reload() });
    expect(await confirm(restarted, second)).toMatchObject({ status: 400, body: { code: "email-challenge-invalid" } });
  });

  it("count the mails of an address over a rotation of the root key", async () => {
    const ring = await rotatedRing();
    const api = await serve({ rootKey: ring.keys });
    await signUp(api);
    for (let codes = 2; codes <= 5; codes += 1) {
      ring.rotate({ revokeTokens: false });
      clock.advance(10 * MINUTE_MS);
      expect((await post(api, "/auth/signup", ada)).status).toBe(201);
    }
    clock.advance(10 * MINUTE_MS);
    expect(await post(api, "/auth/signup", ada)).toMatchObject({
      status: 429,
      body: { code: "email-challenge-limited" },
    });
  });

  it("close a code after five wrong ones, and after ten minutes", async () => {
    const api = await serve();
    const sent = await signUp(api);
    const wrong = { ...sent, code: wrongFor(sent.code) };
    for (let tries = 0; tries < 5; tries += 1) {
      expect(await confirm(api, wrong)).toMatchObject({ status: 400, body: { code: "email-challenge-invalid" } });
    }
    expect(await confirm(api, sent)).toMatchObject({ status: 410, body: { code: "email-challenge-exhausted" } });
    const second = await signUpAgain(api, 1);
    expect(second.challenge_id).not.toBe(sent.challenge_id);
    clock.advance(10 * MINUTE_MS);
    expect(await confirm(api, second)).toMatchObject({ status: 410, body: { code: "email-challenge-expired" } });
    expect(await resend(api, second.challenge_id)).toMatchObject({ status: 410 });
  });

  it("go on with the same challenge when somebody with the password signs up again", async () => {
    const api = await serve();
    const sent = await signUp(api);
    const again = await post(api, "/auth/signup", ada);
    expect(again.body.email_challenge.id).toBe(sent.challenge_id);
    const stranger = { ...ada, password: "guessed by somebody" };
    expect(await post(api, "/auth/signup", stranger)).toMatchObject({ status: 409, body: { code: "email-taken" } });
    expect((await confirm(api, sent)).status).toBe(200);
  });

  it("mail another code after a minute, which makes the one before worthless, at most three in all", async () => {
    const api = await serve();
    const sent = await signUp(api);
    const early = await resend(api, sent.challenge_id);
    expect(early).toMatchObject({ status: 400, body: { code: "email-challenge-cooldown" } });
    expect(early.body.details.retry_at).toBe(new Date(clock.now() + MINUTE_MS).toISOString());
    clock.advance(MINUTE_MS);
    expect(await resend(api, sent.challenge_id)).toMatchObject({
      status: 200,
      body: { next_resend_available_at: new Date(clock.now() + MINUTE_MS).toISOString() },
    });
    const second = codeIn(await mails.mailTo(ada.email, 1));
    expect(await confirm(api, sent)).toMatchObject({ status: 400, body: { code: "email-challenge-invalid" } });
    clock.advance(MINUTE_MS);
    await resend(api, sent.challenge_id);
    clock.advance(MINUTE_MS);
    expect(await resend(api, sent.challenge_id)).toMatchObject({
      status: 400,
      body: { code: "email-challenge-exhausted" },
    });
    const third = codeIn(await mails.mailTo(ada.email, 2));
    expect([second === third, (await confirm(api, { ...sent, code: third })).status]).toEqual([false, 200]);
  });

  it("tell strangers nothing about who has an account", async () => {
    const api = await serve();
    const { challenge_id } = await signUp(api);
    const nobody = await resend(api, challenge_id, "nobody@example.com");
    const verifiedAlready = await resend(api, challenge_id, owner.email);
    expect([nobody.status, verifiedAlready.body]).toEqual([200, nobody.body]);
    const code = "12345678";
    const unknown = await confirm(api, { email: "nobody@example.com", challenge_id, code });
    const foreign = await confirm(api, { email: owner.email, challenge_id, code });
    expect(unknown).toMatchObject({ status: 410, body: { code: "email-challenge-invalid" } });
    expect(foreign.body).toEqual(unknown.body);
    const replies = [];
    for (const path of ["/auth/password/reset", "/auth/password-reset"]) {
      for (const email of [owner.email, "nobody@example.com"]) replies.push(await post(api, path, { email }));
    }
    expect(replies.map(({ status, body }) => [status, body])).toEqual(Array.from({ length: 4 }, () => [204, null]));
  });

  it("mail at most five codes to an address in an hour", async () => {
    const api = await serve();
    await signUp(api);
    for (let sends = 1; sends < 5; sends += 1) {
      clock.advance(11 * MINUTE_MS);
      expect((await post(api, "/auth/signup", ada)).status).toBe(201);
    }
    clock.advance(11 * MINUTE_MS);
    const limited = await post(api, "/auth/signup", ada);
    expect(limited).toMatchObject({ status: 429, body: { code: "email-challenge-limited" } });
    clock.advance(Date.parse(limited.body.details.retry_at) - clock.now());
    expect((await post(api, "/auth/signup", ada)).status).toBe(201);
  });

  it("set a new password with the mailed link, once, which ends every session", async () => {
    const api = await serve();
    const { cookie } = await verified(api);
    const before = mails.received.length;
    await post(api, "/auth/password/reset", { email: ada.email });
    const received = await mails.mailTo(ada.email, before);
    const token = tokenIn(received);
    expect(received.raw.replaceAll("=\r\n", "")).toContain("http://localhost:16101/auth/reset?token");
    const body = { token, new_password: NEW_PASSWORD };
    const short = await post(api, "/auth/password/reset/confirm", { token, new_password: "short" });
    expect(short.status).toBe(400);
    const reply = await post(api, "/auth/password/reset/confirm", body);
    expect(reply).toMatchObject({ status: 200, body: { user: { email: ada.email } } });
    const used = await post(api, "/auth/password-reset/confirm", body);
    expect(used).toMatchObject({ status: 410, body: { code: "token-invalid" } });
    expect((await post(api, "/auth/refresh", undefined, { cookie })).status).toBe(401);
    expect((await post(api, "/auth/refresh", undefined, { cookie: cookieOf(reply) })).status).toBe(200);
    expect([(await logIn(api)).status, (await logIn(api, NEW_PASSWORD)).status]).toEqual([401, 200]);
    expect(await auditLog()).toContain("password.reset done");
  });

  it("forget a link after an hour, with its sisters, and with its account", async () => {
    const api = await serve();
    await verified(api);
    const ask = async () => {
      const before = mails.received.length;
      await post(api, "/auth/password/reset", { email: ada.email });
      return tokenIn(await mails.mailTo(ada.email, before));
    };
    const use = async (token: string) =>
      (await post(api, "/auth/password/reset/confirm", { token, new_password: NEW_PASSWORD })).status;
    const [first, second] = [await ask(), await ask()];
    expect([await use(second), await use(first)]).toEqual([200, 410]);
    const late = await ask();
    clock.advance(HOUR_MS);
    expect(await use(late)).toBe(410);
    const orphan = await ask();
    await store.write((tx) => tx.run("update users set status = 'suspended' where email = ?", [ada.email]));
    expect(await use(orphan)).toBe(410);
    expect(await use("not a token")).toBe(410);
    const stored = await store.read((tx) => tx.all("select * from password_resets"));
    expect(JSON.stringify(stored)).not.toContain(orphan);
  });

  it("let an administrator make a link: mailed with SMTP, shown without, never for a stronger one", async () => {
    const shown = await serve({ withMail: false });
    const { user } = (await post(shown, "/auth/signup", owner)).body;
    const { user: bob } = (await post(shown, "/auth/signup", { ...ada, email: "bob@example.com" })).body;
    await post(shown, "/auth/signup", ada);
    const link = (api: Api, by: string, email: string) =>
      post(api, "/admin/auth/password-reset-links", { email }, { authorization: bearerOf(by) });
    expect((await link(shown, bob.id, ada.email)).status).toBe(403);
    const made = await link(shown, user.id, ada.email);
    expect(made).toMatchObject({ status: 201, body: { mailed: false } });
    const token = new URL(made.body.reset_url).searchParams.get("token");
    const confirmed = await post(shown, "/auth/password/reset/confirm", { token, new_password: NEW_PASSWORD });
    expect(confirmed.status).toBe(200);
    expect((await link(shown, user.id, "nobody@example.com")).status).toBe(404);
    await store.write((tx) => tx.run("update users set admin_role = 'admin-operator' where id = ?", [bob.id]));
    expect((await link(shown, bob.id, owner.email)).status).toBe(403);
    expect((await link(shown, bob.id, ada.email)).status).toBe(201);
    const mailed = await serve();
    const reply = await link(mailed, user.id, ada.email);
    expect(reply.body).toMatchObject({ mailed: true, reset_url: null });
    expect(tokenIn(await mails.mailTo(ada.email))).not.toBe("");
  });

  it("are recovered by the operator's link, once, whatever the mail does", async () => {
    const api = await serve({ withMail: false });
    await post(api, "/auth/signup", owner);
    const link = (email: string, rootKey = TEST_ROOT_KEY) =>
      recoveryLink({ rootKey, publicUrl: "http://localhost:16101", email, now: clock.now() });
    const use = async (made: string) => {
      const token = new URL(made).searchParams.get("token");
      return (await post(api, "/auth/password/reset/confirm", { token, new_password: NEW_PASSWORD })).status;
    };
    clock.advance(1);
    const first = link(` ${owner.email.toUpperCase()}`);
    expect(await use(link(owner.email, Buffer.alloc(32, 9)))).toBe(410);
    expect(await use(link("nobody@example.com"))).toBe(410);
    expect([await use(first), await use(first)]).toEqual([200, 410]);
    expect((await logIn(api, NEW_PASSWORD, owner.email)).status).toBe(200);
    clock.advance(1);
    const late = link(owner.email);
    clock.advance(HOUR_MS);
    expect(await use(late)).toBe(410);
    expect(() => link("no address")).toThrow("recover");
  });

  it("change their password with the old one, and keep the session that did", async () => {
    const api = await serve();
    const { id, cookie } = await verified(api);
    const other = cookieOf(await logIn(api));
    const authorization = bearerOf(id);
    const change = (current_password: string, headers: Record<string, string>) =>
      post(api, "/auth/change-password", { current_password, new_password: NEW_PASSWORD }, headers);
    expect((await change(PASSWORD, {})).status).toBe(401);
    expect(await change("wrong", { authorization })).toMatchObject({
      status: 401,
      body: { code: "invalid-credentials" },
    });
    expect((await change(PASSWORD, { authorization, cookie })).status).toBe(204);
    expect((await post(api, "/auth/refresh", undefined, { cookie: other })).status).toBe(401);
    expect((await post(api, "/auth/refresh", undefined, { cookie })).status).toBe(200);
    expect((await logIn(api, NEW_PASSWORD)).status).toBe(200);
  });

  it("show and change themselves: name, sessions, ways to sign in", async () => {
    const api = await serve();
    const { id, cookie } = await verified(api);
    const other = await logIn(api);
    const call = (method: string, path: string, body?: unknown) => api.call(method, path, { user: id, body });
    expect((await call("PATCH", "/auth/me", { name: "Ada L." })).body.user.name).toBe("Ada L.");
    expect((await call("PATCH", "/auth/me", { email: "x@example.com" })).status).toBe(400);
    const headers = { authorization: `Bearer ${other.body.token}` };
    const { sessions } = (await api.call("GET", "/auth/sessions", { headers })).body;
    expect(sessions).toMatchObject([
      { current: true, ip: "127.0.0.1" },
      { current: false, ip: "127.0.0.1" },
    ]);
    expect((await call("DELETE", `/auth/sessions/${sessions[1].id}`)).status).toBe(204);
    expect((await call("DELETE", `/auth/sessions/${sessions[1].id}`)).status).toBe(404);
    expect((await post(api, "/auth/refresh", undefined, { cookie })).status).toBe(401);
    expect((await api.call("GET", "/auth/login-methods")).body).toEqual({ login_methods: [{ id: "password" }] });
  });

  it("limit sign-ins by address and by account, also when they come at the same moment", async () => {
    const api = await serve({ withMail: false, limits: { ...NO_LIMITS, loginPerEmail: 10 } });
    await post(api, "/auth/signup", owner);
    const tries = await Promise.all(Array.from({ length: 14 }, () => logIn(api, "wrong", owner.email)));
    const refused = tries.filter((reply) => reply.status === 429);
    expect(refused).toHaveLength(4);
    expect(refused[0]?.headers.get("retry-after")).toBe("900");
    expect(refused[0]?.body).toMatchObject({ code: "rate-limited", details: { retry_after_seconds: 900 } });
    expect((await logIn(api, PASSWORD, owner.email)).status).toBe(429);
    expect((await logIn(api, "wrong", "bob@example.com")).status).toBe(401);
    clock.advance(15 * MINUTE_MS);
    expect((await logIn(api, PASSWORD, owner.email)).status).toBe(200);
  });

  it("limit the mails that strangers cause", async () => {
    const api = await serve({ limits: { ...NO_LIMITS, mailPerAddress: 4, mailPerEmail: 3 } });
    await verified(api);
    const ask = async (email: string) => (await post(api, "/auth/password/reset", { email })).status;
    const byEmail = [await ask(ada.email), await ask(ada.email), await ask(ada.email), await ask(ada.email)];
    expect([...byEmail, await ask("bob@example.com")]).toEqual([204, 204, 204, 429, 429]);
    clock.advance(HOUR_MS);
    expect(await ask(ada.email)).toBe(204);
  });
});
