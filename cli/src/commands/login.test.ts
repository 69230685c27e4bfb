import { newId } from "@shipfox/shared/ids";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nameOfHost } from "../contexts.ts";
import { user } from "../testing/fixtures.ts";
import { CliHome } from "../testing/run-cli.ts";

const PASSWORD = "correct horse battery";
const CODE = "12345678";
const CONFIRM = "POST /auth/verify-email/confirm";
const challenge = { id: newId(), next_resend_available_at: "2026-07-06T10:01:00.000Z" };

let server: StandInServer;
let home: CliHome;
beforeEach(async () => {
  server = await StandInServer.start();
  home = await CliHome.create();
  server.on("GET /", { body: { name: "shipfox", version: "0.1.0", docs: "/docs", needs_setup: false } });
  server.on("POST /auth/signup", { status: 201, body: { user, email_challenge: challenge } });
  server.on(CONFIRM, ({ body }) =>
    (body as { code: string }).code === CODE
      ? {
          body: { token: "access-9", user, membership: null, admin_role: null },
          headers: { "set-cookie": "shipfox_refresh_token=refresh-9; Path=/auth; HttpOnly" },
        }
      : { status: 400, body: { code: "email-challenge-invalid", message: "the code is wrong" } },
  );
});
afterEach(async () => {
  await home[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const codes = () => server.seen(CONFIRM).map(({ body }) => body);

describe("a mailed code, on a terminal", () => {
  it("is asked for after a sign-up, again when it is wrong, and signs in", async () => {
    using terminal = home.startOnTerminal(["login", "--url", server.url, "--signup"]);
    await terminal.answer("E-mail address", "ada@example.com");
    await terminal.answer("Your name", "Ada");
    await terminal.answer("Choose a password", PASSWORD);
    await terminal.answer("Code", "87654321");
    await terminal.answer("Code", CODE);
    expect(await terminal.finish()).toBe(0);
    expect(server.seen("POST /auth/signup")[0]?.body).toEqual({
      email: "ada@example.com",
      password: PASSWORD,
      name: "Ada",
    });
    const sent = { email: "ada@example.com", challenge_id: challenge.id };
    expect(codes()).toEqual([
      { ...sent, code: "87654321" },
      { ...sent, code: CODE },
    ]);
    expect(terminal.screen).toMatch(/A code was mailed to ada@example\.com\.[^]*the code is wrong[^]*Signed in to/);
    expect(terminal.screen).not.toContain(PASSWORD);
    expect((await home.store.read()).contexts[nameOfHost(server.url)]).toMatchObject({
      access_token: "access-9",
      refresh_token: "refresh-9",
    });
  });

  it("is asked for at a sign-in whose address was never proven", async () => {
    const body = { code: "email-not-verified", message: "type the code that was mailed to you first" };
    server.on("POST /auth/login", { status: 403, body });
    using terminal = home.startOnTerminal(["login", "--url", server.url, "--email", "ada@example.com"]);
    await terminal.answer("Password", PASSWORD);
    await terminal.answer("Code", CODE);
    expect(await terminal.finish()).toBe(0);
    expect(server.seen("POST /auth/signup")[0]?.body).toMatchObject({ email: "ada@example.com", password: PASSWORD });
    expect(codes()).toEqual([{ email: "ada@example.com", challenge_id: challenge.id, code: CODE }]);
    expect(terminal.screen).toContain("Signed in to");
  });

  it("is asked for no more once the control plane takes none", async () => {
    const body = { code: "email-challenge-exhausted", message: "too many wrong codes" };
    server.on(CONFIRM, { status: 410, body });
    const account = ["--email", "ada@example.com", "--name", "Ada"];
    using terminal = home.startOnTerminal(["login", "--url", server.url, "--signup", ...account]);
    await terminal.answer("Choose a password", PASSWORD);
    await terminal.answer("Code", CODE);
    expect(await terminal.finish()).toBe(69);
    expect(terminal.screen).toContain("(email-challenge-exhausted)");
    expect((await home.store.read()).contexts).toEqual({});
  });

  it("leaves nobody signed in when it is not typed", async () => {
    const account = ["--email", "ada@example.com", "--name", "Ada"];
    using terminal = home.startOnTerminal(["login", "--url", server.url, "--signup", ...account]);
    await terminal.answer("Choose a password", PASSWORD);
    await terminal.answer("Code", "\u0003");
    expect(await terminal.finish()).toBe(130);
    expect([codes(), (await home.store.read()).contexts]).toEqual([[], {}]);
  });
});

describe("a mailed code, without a terminal", () => {
  it("cannot be typed, and the message says where", async () => {
    const account = ["--email", "ada@example.com", "--name", "Ada", "--password-stdin"];
    const result = await home.run(["login", "--url", server.url, "--signup", ...account], { stdin: PASSWORD });
    expect([result.code, result.stderr]).toEqual([64, expect.stringContaining("--signup (on a terminal)")]);
  });
});
