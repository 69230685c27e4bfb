import { newId } from "@shipfox/shared/ids";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createClient } from "./client.ts";
import { endSession, expiresSoon, Session, signedIn, signUp } from "./session.ts";

const AT = "2026-07-06T10:00:00.000Z";
const ACCOUNT = { email: "ada@example.com", password: "correct horse battery", name: "Ada" };
const user = {
  id: newId(),
  email: ACCOUNT.email,
  name: ACCOUNT.name,
  email_verified_at: AT,
  status: "active",
  created_at: AT,
  updated_at: AT,
};
const jwt = (expiresInSeconds: number, name: string) => {
  const claims = { exp: Math.floor(Date.now() / 1000) + expiresInSeconds, name };
  return `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;
};
const cookie = (token: string) => ({ "set-cookie": `shipfox_refresh_token=${token}; HttpOnly; Path=/auth` });

let server: StandInServer;
beforeEach(async () => {
  server = await StandInServer.start();
});
afterEach(() => server[Symbol.asyncDispose]());

/** Accepts each refresh token once, and of access tokens only the newest. */
function serveRotation(): void {
  let count = 1;
  let access = "";
  server.on("POST /auth/refresh", ({ headers }) => {
    if (headers.cookie !== `shipfox_refresh_token=refresh-${count}`)
      return { status: 401, body: { code: "unauthorized" } };
    count += 1;
    access = jwt(900, String(count));
    return { body: { token: access, user, membership: null, admin_role: null }, headers: cookie(`refresh-${count}`) };
  });
  server.on("GET /auth/me", ({ headers }) =>
    headers.authorization === `Bearer ${access}`
      ? { body: { user, admin_role: null } }
      : { status: 401, body: { code: "unauthorized" } },
  );
}

describe("a session", () => {
  const start = (accessToken: string) => {
    const visitor = createClient({ baseUrl: server.url, retries: 0 });
    const token = new Session(visitor, { accessToken, refreshToken: "refresh-1" });
    return createClient({ baseUrl: server.url, token });
  };

  it("renews an access token before it expires, once for all calls that wait for it", async () => {
    serveRotation();
    const client = start(jwt(5, "old"));
    const answers = await Promise.all([client.auth.me(), client.auth.me(), client.auth.me()]);
    expect(answers.map(({ user: { email } }) => email)).toEqual(Array(3).fill(ACCOUNT.email));
    expect(server.seen("POST /auth/refresh")).toHaveLength(1);
  });

  it("renews an access token that is refused although it looks good, and goes on with the next refresh token", async () => {
    serveRotation();
    const client = start(jwt(900, "revoked"));
    await client.auth.me();
    await Promise.all([client.auth.me(), client.auth.me()]);
    expect(server.seen("POST /auth/refresh")).toHaveLength(1);
    server.on("GET /auth/me", { status: 401, body: { code: "unauthorized" } });
    await expect(client.auth.me()).rejects.toMatchObject({ status: 401 });
    const cookies = server.seen("POST /auth/refresh").map(({ headers }) => headers.cookie);
    expect(cookies).toEqual(["shipfox_refresh_token=refresh-1", "shipfox_refresh_token=refresh-2"]);
  });

  it("that has ended says so", async () => {
    server.on("POST /auth/refresh", { status: 401, body: { code: "unauthorized", message: "The session has ended." } });
    await expect(start(jwt(5, "old")).auth.me()).rejects.toThrow("The session has ended.");
    expect(server.seen("GET /auth/me")).toHaveLength(0);
  });
});

describe("signing in", () => {
  it("gives both tokens, and a sign-up the challenge where the address has to be proven", async () => {
    const visitor = createClient({ baseUrl: server.url, retries: 0 });
    const body = { token: "t", user, membership: null, admin_role: null };
    server.on("POST /auth/login", { body, headers: cookie("refresh-1") });
    const { email, password } = ACCOUNT;
    expect(signedIn(await visitor.auth.logIn.reply({ email, password }))).toEqual({
      accessToken: "t",
      refreshToken: "refresh-1",
      user,
      hasWorkspace: false,
    });
    server.on("POST /auth/signup", { status: 201, body: { token: "t", user }, headers: cookie("refresh-2") });
    expect(await signUp(visitor, ACCOUNT)).toMatchObject({ accessToken: "t", refreshToken: "refresh-2" });
    const challenge = { id: newId(), next_resend_available_at: AT };
    server.on("POST /auth/signup", { status: 201, body: { user, email_challenge: challenge } });
    expect(await signUp(visitor, ACCOUNT)).toEqual({ challengeId: challenge.id });
    server.on("POST /auth/signup", { status: 201, body: { user } });
    await expect(signUp(visitor, ACCOUNT)).rejects.toMatchObject({ code: "unexpected-reply" });
  });

  it("is undone with the refresh token", async () => {
    server.on("POST /auth/logout", { status: 204 });
    await endSession(createClient({ baseUrl: server.url }), "refresh-1");
    expect(server.requests[0]?.headers.cookie).toBe("shipfox_refresh_token=refresh-1");
  });
});

it("a token whose end cannot be read is taken as good", () => {
  expect(expiresSoon(jwt(10, "x"))).toBe(true);
  expect(expiresSoon(jwt(120, "x"))).toBe(false);
  expect(expiresSoon("sf_pat_x")).toBe(false);
});
