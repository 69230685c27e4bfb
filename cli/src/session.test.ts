import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CliError } from "./cli-error.ts";
import { CredentialsStore } from "./credentials.ts";
import { normalizeUrl } from "./server-url.ts";
import { openSession } from "./session.ts";
import { user } from "./testing/fixtures.ts";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";

let directory: string;
let server: StandInServer;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "shipfox-session-"));
  server = await StandInServer.start();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

function refusal(run: () => unknown): CliError | null {
  try {
    run();
    return null;
  } catch (error) {
    return error as CliError;
  }
}

const env = () => ({ SHIPFOX_CONFIG_DIR: directory });
const jwt = (expiresInSeconds: number, name = "x") => {
  const claims = { exp: Math.floor(Date.now() / 1000) + expiresInSeconds, name };
  return `h.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.s`;
};

async function store(access_token: string): Promise<void> {
  await new CredentialsStore(directory).update((file) => {
    file.current = "work";
    file.contexts.work = { url: server.url, email: "ada@example.com", access_token, refresh_token: "refresh-1" };
  });
}

/** A control plane that rotates the refresh token and accepts each only once. */
function serveRotation(good: Set<string>): void {
  let valid = "refresh-1";
  let count = 1;
  server.on("GET /auth/me", ({ headers }) =>
    good.has(headers.authorization ?? "")
      ? { body: { user, admin_role: null } }
      : { status: 401, body: { code: "unauthorized", message: "The token is not valid." } },
  );
  server.on("POST /auth/refresh", ({ headers }) => {
    if (headers.cookie !== `shipfox_refresh_token=${valid}`) return { status: 401, body: { code: "unauthorized" } };
    count += 1;
    valid = `refresh-${count}`;
    const token = jwt(900, String(count));
    good.add(`Bearer ${token}`);
    const headersOut = { "set-cookie": `shipfox_refresh_token=${valid}; HttpOnly; Path=/auth; SameSite=Lax` };
    return { body: { token, user, membership: null, admin_role: null }, headers: headersOut };
  });
}

describe("the session", () => {
  it("renews a refused token once, saves the rotated cookie, and repeats the request", async () => {
    await store("old");
    serveRotation(new Set());
    const { api } = await openSession(env());
    expect((await api.auth.me()).user.email).toBe("ada@example.com");
    const saved = (await new CredentialsStore(directory).read()).contexts.work;
    expect(saved?.refresh_token).toBe("refresh-2");
    expect(server.requests.map(({ path }) => path)).toEqual(["/auth/me", "/auth/refresh", "/auth/me"]);
  });

  it("renews a token that is about to end before using it", async () => {
    await store(jwt(5));
    serveRotation(new Set());
    await (await openSession(env())).api.auth.me();
    expect(server.requests.map(({ path }) => path)).toEqual(["/auth/refresh", "/auth/me"]);
  });

  it("refreshes once for many requests and many commands at the same time", async () => {
    await store(jwt(5));
    serveRotation(new Set());
    const sessions = await Promise.all([openSession(env()), openSession(env()), openSession(env())]);
    await Promise.all(sessions.flatMap(({ api }) => [api.auth.me(), api.auth.me()]));
    expect(server.seen("POST /auth/refresh")).toHaveLength(1);
  });

  it("says that the session has ended and how to sign in again", async () => {
    await store("old");
    server.on("GET /auth/me", { status: 401, body: { code: "unauthorized" } });
    server.on("POST /auth/refresh", { status: 401, body: { code: "unauthorized" } });
    const { api } = await openSession(env());
    await expect(api.auth.me()).rejects.toMatchObject({
      code: "session-ended",
      next: ["shipfox login --context work --email ada@example.com"],
    });
  });

  it("never sends the token of one instance to another", async () => {
    await store("secret");
    await expect(openSession({ ...env(), SHIPFOX_URL: "http://other.example" })).rejects.toMatchObject({
      code: "not-signed-in",
    });
  });
});

describe("addresses and tokens", () => {
  it("normalises the address", () => {
    expect(normalizeUrl("HTTP://Example.com:16101/")).toBe("http://example.com:16101");
    expect(normalizeUrl("https://example.com/ci/")).toBe("https://example.com/ci");
  });

  it.each([
    ["localhost:16101", /"localhost:16101" does not begin with http:\/\/ or https/, "http://localhost:16101"],
    ["ci.example.com", /does not begin with http/, "https://ci.example.com"],
    ["", /does not begin with http/, "http://localhost:16101"],
    ["ftp://x", /begins with ftp:\/\/; expected http/, "http://x"],
    ["http://a:secret@c/", /must not hold a user name or a password/, "http://c"],
    ["http://c/?next=1", /must end before \? and #/, "http://c"],
  ])("says what is wrong with the address %j, and what to type", (address, message, suggestion) => {
    const error = refusal(() => normalizeUrl(address));
    expect(error).toMatchObject({
      message: expect.stringMatching(message),
      exitCode: 64,
      next: [`shipfox login --url ${suggestion}`],
    });
    expect(error?.message).not.toContain("secret");
  });
});
