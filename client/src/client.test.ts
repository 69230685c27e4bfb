import { newId } from "@shipfox/shared/ids";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createClient } from "./client.ts";
import { ClientError } from "./client-error.ts";

const AT = "2026-07-06T10:00:00.000Z";
const HOME = { name: "shipfox", version: "1.0.0", docs: "http://x", needs_setup: false };
const ID = newId();
const project = (name: string) => ({
  id: newId(),
  workspace_id: ID,
  name,
  slug: name,
  source: { connection_id: ID, external_repository_id: "git:x" },
  archived_at: null,
  untrusted_secrets: false,
  created_at: AT,
  updated_at: AT,
});
const workspace = {
  id: ID,
  name: "Acme",
  slug: "acme",
  status: "active",
  settings: {},
  created_at: AT,
  updated_at: AT,
};

let server: StandInServer;
beforeEach(async () => {
  server = await StandInServer.start();
});
afterEach(() => server[Symbol.asyncDispose]());

const client = (options: Partial<Parameters<typeof createClient>[0]> = {}) =>
  createClient({ baseUrl: server.url, retries: 0, ...options });
const failureOf = (call: Promise<unknown>) => call.then(() => null).catch((error: unknown) => error as ClientError);

describe("errors", () => {
  it("have the server's code, message, details, request id and Retry-After", async () => {
    const body = { code: "rate-limited", message: "Too many requests.", details: { retry_after_seconds: 7 } };
    server.on("GET /", { status: 429, body, headers: { "retry-after": "7", "x-request-id": "req-1" } });
    const failure = await failureOf(client().server.about());
    expect(failure).toBeInstanceOf(ClientError);
    expect(failure).toMatchObject({ ...body, status: 429, retryAfterMs: 7_000, requestId: "req-1", isTransient: true });
  });

  it("are told apart from answers that are not the control plane's", async () => {
    server.on("GET /", (_request, response) => {
      response.writeHead(502).end("<html>bad gateway</html>");
      return undefined;
    });
    expect(await failureOf(client().server.about())).toMatchObject({ code: "http-502", status: 502 });
    server.on("GET /", { body: { ...HOME, needs_setup: "no" } });
    expect(await failureOf(client().server.about())).toMatchObject({
      code: "unexpected-reply",
      status: null,
      isTransient: false,
      message: expect.stringContaining("GET / is not what this client expects at needs_setup"),
    });
  });

  it("say that nobody listens, or that no TLS is spoken", async () => {
    const secure = createClient({ baseUrl: server.url.replace("http:", "https:"), retries: 0 });
    expect((await failureOf(secure.server.about()))?.message).toMatch(/does not speak TLS.*write http:/);
    const gone = await StandInServer.start();
    const { url } = gone;
    await gone[Symbol.asyncDispose]();
    const failure = await failureOf(client({ baseUrl: url }).server.about());
    expect(failure).toMatchObject({ code: "connection-failed", message: expect.stringContaining("refused") });
  });

  it("do not follow a redirect, which would carry the token away", async () => {
    server.on("GET /", { status: 302, headers: { location: "/other" } });
    expect(await failureOf(client({ token: "t" }).server.about())).toMatchObject({ code: "connection-failed" });
    expect(server.seen("GET /other")).toHaveLength(0);
  });

  it("end a call that is not answered in time, and pass on the caller's own signal", async () => {
    server.on("GET /", () => undefined);
    expect((await failureOf(client({ timeoutMs: 50 }).server.about()))?.message).toContain("it took too long");
    const stop = new AbortController();
    const call = client().server.about({}, { signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(call).rejects.toThrow("enough");
    const ended = new AbortController();
    ended.abort(new Error("all over"));
    await expect(client({ signal: ended.signal }).server.about()).rejects.toThrow("all over");
  });
});

describe("repeating a call", () => {
  const unavailable = { status: 503, body: { code: "overloaded", message: "Too many writes are waiting." } };

  it("sends a call that makes something with one key, however often it is sent", async () => {
    let tries = 0;
    server.on("POST /workspaces", (_request, response) => {
      tries += 1;
      if (tries === 1) return unavailable;
      // The answer is lost.
      if (tries === 2) return void response.destroy();
      return { status: 201, body: workspace };
    });
    expect(await client({ retries: 3 }).workspaces.create({ name: "Acme" })).toMatchObject({ slug: "acme" });
    const keys = server.seen("POST /workspaces").map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toHaveLength(3);
    expect(new Set(keys).size).toBe(1);
    expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("uses the caller's key instead of its own", async () => {
    server.on("POST /workspaces", { status: 201, body: workspace });
    await client().workspaces.create({ name: "Acme" }, { idempotencyKey: "mine" });
    await client().workspaces.create({ name: "Acme" });
    const keys = server.seen("POST /workspaces").map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toEqual(["mine", expect.stringMatching(/^[0-9a-f-]{36}$/)]);
  });

  it("does not repeat what may have happened and would happen twice", async () => {
    server.on("POST /auth/login", unavailable);
    server.on("PATCH /projects/*", unavailable);
    server.on("DELETE /auth/tokens/*", unavailable);
    const patient = client({ retries: 3 });
    const logIn = patient.auth.logIn({ email: "ada@example.com", password: "x" });
    expect(await failureOf(logIn)).toMatchObject({ status: 503 });
    const update = patient.projects.update({ projectId: ID, name: "x" });
    expect(await failureOf(update)).toMatchObject({ status: 503 });
    expect(await failureOf(patient.accessTokens.revoke({ tokenId: ID }))).toMatchObject({ status: 503 });
    expect(server.requests).toHaveLength(3);
  });

  it("repeats a call that was turned away for its rate, whatever it is, but not one that asked not to wait", async () => {
    const codes = ["rate-limited", "concurrency-limit"];
    server.on("POST /auth/login", () => ({ status: 429, body: { code: codes.shift(), message: "Wait." } }));
    const failure = await failureOf(client({ retries: 3 }).auth.logIn({ email: "ada@example.com", password: "x" }));
    expect(failure).toMatchObject({ code: "concurrency-limit" });
    expect(server.requests).toHaveLength(2);
  });

  it("waits as long as the server asks, and gives the call back when that is too long", async () => {
    let tries = 0;
    server.on("GET /", () => {
      tries += 1;
      return tries === 1 ? { ...unavailable, headers: { "retry-after": "1" } } : { body: HOME };
    });
    const begun = performance.now();
    expect(await client({ retries: 1 }).server.about()).toEqual(HOME);
    expect(performance.now() - begun).toBeGreaterThan(990);
    server.on("GET /", { ...unavailable, headers: { "retry-after": "3600" } });
    expect(await failureOf(client({ retries: 1 }).server.about())).toMatchObject({ retryAfterMs: 3_600_000 });
    expect(server.seen("GET /")).toHaveLength(3);
  });

  it("gives up after so many repetitions, and never repeats a refusal", async () => {
    server.on("GET /", unavailable);
    expect(await failureOf(client().server.about({}, { retries: 1 }))).toMatchObject({ code: "overloaded" });
    expect(server.requests).toHaveLength(2);
    server.on("GET /", { status: 404, body: { code: "not-found", message: "no" } });
    expect(await failureOf(client().server.about({}, { retries: 5 }))).toMatchObject({ code: "not-found" });
    expect(server.requests).toHaveLength(3);
  });

  it("stops waiting for the next try when it is told to", async () => {
    server.on("GET /", { ...unavailable, headers: { "retry-after": "20" } });
    const stop = new AbortController();
    const call = client().server.about({}, { retries: 1, signal: stop.signal });
    await expect.poll(() => server.requests.length).toBe(1);
    stop.abort();
    await expect(call).rejects.toThrow("aborted");
  });
});

describe("tokens", () => {
  it("are sent with every call, and renewed once when they are refused", async () => {
    const renewed: string[] = [];
    const token = {
      current: () => Promise.resolve("old"),
      renew: (rejected: string) => {
        renewed.push(rejected);
        return Promise.resolve("new");
      },
    };
    server.on("GET /projects/*", ({ headers }) =>
      headers.authorization === "Bearer new"
        ? { body: project("app") }
        : { status: 401, body: { code: "unauthorized", message: "The token is not valid." } },
    );
    expect(await client({ token }).projects.get({ projectId: ID })).toMatchObject({ name: "app" });
    expect(renewed).toEqual(["old"]);
    expect(await failureOf(client({ token: "sf_pat_x" }).projects.get({ projectId: ID }))).toMatchObject({
      status: 401,
    });
    expect(server.requests.at(-1)?.headers.authorization).toBe("Bearer sf_pat_x");
    expect(server.requests).toHaveLength(3);
  });
});

describe("pages", () => {
  it("are fetched one after another, as far as they are read", async () => {
    server.on("GET /projects", ({ query }) => {
      const start = Number(query.get("cursor") ?? 0);
      const projects = [project(`p${start}`), project(`p${start + 1}`)];
      return { body: { projects, next_cursor: start < 4 ? String(start + 2) : null } };
    });
    const names: string[] = [];
    for await (const { name } of client().projects.list.items({ workspace_id: ID, limit: 2 })) names.push(name);
    expect(names).toEqual(["p0", "p1", "p2", "p3", "p4", "p5"]);
    expect(server.requests.map(({ query }) => query.toString())).toEqual([
      `workspace_id=${ID}&limit=2`,
      `workspace_id=${ID}&limit=2&cursor=2`,
      `workspace_id=${ID}&limit=2&cursor=4`,
    ]);
    for await (const page of client().projects.list.pages({ workspace_id: ID, cursor: "2" })) {
      expect(page.projects.map(({ name }) => name)).toEqual(["p2", "p3"]);
      break;
    }
    expect(server.requests).toHaveLength(4);
  });

  it("that lead to themselves end in an error, not in a loop", async () => {
    server.on("GET /projects", { body: { projects: [], next_cursor: "x" } });
    const all = Array.fromAsync(client().projects.list.items({ workspace_id: ID }));
    expect(await failureOf(all)).toMatchObject({ code: "unexpected-reply" });
    expect(server.requests).toHaveLength(2);
  });
});

it("answers with what is around the body when asked", async () => {
  server.on("GET /", { body: HOME, headers: { "x-request-id": "req-9" } });
  expect(await client().server.about.reply()).toMatchObject({ status: 200, requestId: "req-9", body: HOME });
  expect(server.requests[0]?.headers["user-agent"]).toMatch(/^shipfox-client\//);
});
