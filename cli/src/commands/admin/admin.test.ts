import { newId } from "@shipfox/shared/ids";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { adminUser, adminWorkspace, auditEvent, ids } from "../../testing/fixtures.ts";
import { CliHome } from "../../testing/run-cli.ts";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";

const WHY = ["--reason", "has left"];
const KEY = /^[0-9a-f-]{36}$/;

let server: StandInServer;
let home: CliHome;
beforeEach(async () => {
  server = await StandInServer.start();
  home = await CliHome.create();
  await home.signIn(server.url);
});
afterEach(async () => {
  await home[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const queries = (route: string) => server.seen(route).map(({ query }) => Object.fromEntries(query));

describe("administrators look after the server", () => {
  it("and see what it has and what it is doing", async () => {
    const users = { active: 12, suspended: 1, administrators: 2 };
    const workspaces = { active: 3, suspended: 0, deleted: 1 };
    const work = { runs: { going: 4, waiting: 5 }, jobs: { queued: 6, running: 7 } };
    server.on("GET /admin/overview", { body: { version: "0.1.0", users, workspaces, projects: 9, ...work } });
    const { code, stdout } = await home.run(["admin", "overview"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/users +12 active, 1 suspended, 2 administrator\(s\)\n/);
    expect(stdout).toMatch(/jobs +7 running, 6 waiting for a runner\n/);
    expect(JSON.parse((await home.run(["admin", "overview", "--json"])).stdout)).toMatchObject({ users, workspaces });
  });

  it("and read its audit log, of one user too", async () => {
    const bob = adminUser();
    server.on("GET /admin/auth/users", { body: { users: [bob], next_cursor: null } });
    server.on("GET /admin/audit-events", { body: { audit_events: [auditEvent()], next_cursor: null } });
    expect((await home.run(["admin", "audit", "--actor", bob.email])).stdout).toContain("project.created");
    expect(queries("GET /admin/audit-events")).toEqual([{ actor_user_id: bob.id, limit: "20" }]);
  });

  it("and change settings, or give them back to how it was started", async () => {
    const settings = { allow_signup: { value: false, own: true }, max_concurrent_runs: { value: 0, own: false } };
    server.on("GET /admin/settings", { body: settings }).on("PATCH /admin/settings", { body: settings });
    const shown = await home.run(["admin", "settings", "get"]);
    expect(shown.stdout).toMatch(/allow-signup +false +an administrator\n/);
    expect(shown.stdout).toMatch(/max-concurrent-runs +any number +how the server was started\n/);
    const set = (...args: string[]) => home.run(["admin", "settings", "set", ...args]);
    expect(await set("--allow-signup", "false", "--max-concurrent-runs", "default", ...WHY)).toMatchObject({ code: 0 });
    expect(await set("--max-concurrent-runs", "5", ...WHY)).toMatchObject({ code: 0 });
    expect(await set(...WHY)).toMatchObject({ code: 64 });
    expect(await set("--max-concurrent-runs", "-1", ...WHY)).toMatchObject({ code: 64 });
    const withoutReason = await set("--allow-signup", "true");
    expect([withoutReason.code, withoutReason.stderr]).toEqual([64, expect.stringContaining('add --reason "why"')]);
    expect(server.seen("PATCH /admin/settings").map(({ body }) => body)).toEqual([
      { allow_signup: false, max_concurrent_runs: null, reason: "has left" },
      { max_concurrent_runs: 5, reason: "has left" },
    ]);
  });

  it("and see and replace its root key", async () => {
    const key = { key_id: "k2", replaced_at: null, tokens: true, sealed: 3 };
    const keys = { source: "file", keys: [key, { ...key, key_id: "k1", tokens: false }], unopenable: 1 };
    server.on("GET /admin/root-key", { body: keys }).on("POST /admin/root-key/rotate", { status: 202, body: keys });
    const shown = await home.run(["admin", "root-key", "show"]);
    expect(shown.stdout).toMatch(/k1 .*refused +3\n/);
    expect(shown.stdout).toContain("1 stored secret(s) are opened by none of the keys");
    expect(await home.run(["admin", "root-key", "rotate"])).toMatchObject({ code: 64 });
    expect(await home.run(["admin", "root-key", "rotate", "--yes"])).toMatchObject({ code: 0 });
    expect(await home.run(["admin", "root-key", "rotate", "--revoke-tokens", "-y"])).toMatchObject({ code: 0 });
    expect(server.seen("POST /admin/root-key/rotate").map(({ body }) => body)).toEqual([
      { revoke_tokens: false },
      { revoke_tokens: true },
    ]);
  });
});

describe("users of the server", () => {
  const bob = adminUser();
  const changed = { ...bob, correlation_id: "c1" };
  beforeEach(() => {
    server.on("GET /admin/auth/users", ({ query }) => {
      const wanted = query.get("email") ?? query.get("user_id");
      const users = wanted === null || [bob.email, bob.id].includes(wanted) ? [bob] : [];
      return { body: { users, next_cursor: null } };
    });
    for (const action of ["suspend", "reactivate", "admin-role"]) {
      server.on(`POST /admin/auth/users/*/${action}`, { body: changed });
    }
    server.on("POST /admin/auth/users/*/revoke-sessions", { body: { ...changed, sessions_revoked: 2 } });
  });

  it("are listed with filters, and shown by address or id", async () => {
    const listed = await home.run(["admin", "users", "list", "--search", "bob", "--status", "active", "-n", "5"]);
    expect(listed.stdout).toMatch(/^E-MAIL +NAME +STATUS/);
    expect(listed.stdout).toMatch(/bob@example\.com +Bob +active +- /);
    expect(queries("GET /admin/auth/users")).toEqual([{ search: "bob", status: "active", limit: "5" }]);
    expect((await home.run(["admin", "users", "show", "bob@example.com"])).stdout).toMatch(/administrator +no\n/);
    expect(JSON.parse((await home.run(["admin", "users", "show", bob.id, "--json"])).stdout)).toEqual(bob);
    const unknown = await home.run(["admin", "users", "show", "eve@example.com"]);
    expect([unknown.code, unknown.stderr]).toEqual([64, expect.stringContaining("There is no user eve@example.com.")]);
    const half = await home.run(["admin", "users", "show", "bob"]);
    expect([half.code, half.stderr]).toEqual([64, expect.stringContaining("shipfox admin users list --search bob")]);
  });

  it("are suspended for a reason and with --yes, each change with a key of its own, and let in again", async () => {
    const suspend = (...args: string[]) => home.run(["admin", "users", "suspend", bob.email, ...args]);
    const unasked = await suspend(...WHY);
    expect([unasked.code, unasked.stderr]).toEqual([64, expect.stringContaining("add --yes")]);
    expect(await suspend("--yes")).toMatchObject({ code: 64 });
    expect(server.seen("POST /admin/auth/users/*/suspend")).toEqual([]);
    const first = await suspend(...WHY, "--yes");
    expect([first.code, first.stdout]).toEqual([0, expect.stringContaining("users reactivate bob@example.com")]);
    await suspend(...WHY, "--yes");
    const calls = server.seen("POST /admin/auth/users/*/suspend");
    expect(calls[0]).toMatchObject({ path: `/admin/auth/users/${bob.id}/suspend`, body: { reason: "has left" } });
    const keys = calls.map(({ headers }) => headers["idempotency-key"]);
    expect(keys).toEqual([expect.stringMatching(KEY), expect.stringMatching(KEY)]);
    expect(new Set(keys).size).toBe(2);
    expect(await home.run(["admin", "users", "reactivate", bob.id])).toMatchObject({ code: 0 });
    expect(server.seen("POST /admin/auth/users/*/reactivate")[0]?.body).toEqual({});
  });

  it("are asked about on a terminal, where the answer is no unless somebody says yes", async () => {
    using hesitant = home.startOnTerminal(["admin", "users", "suspend", bob.email]);
    await hesitant.answer("Why?", "has left");
    await hesitant.answer("Suspend bob@example.com?", "");
    expect(await hesitant.finish()).toBe(130);
    expect(hesitant.screen).toContain("Nothing was changed.");
    expect(server.seen("POST /admin/auth/users/*/suspend")).toEqual([]);
    using sure = home.startOnTerminal(["admin", "users", "suspend", bob.email]);
    await sure.answer("Why?", "has left");
    await sure.answer("Suspend bob@example.com?", "y");
    expect(await sure.finish()).toBe(0);
    expect(server.seen("POST /admin/auth/users/*/suspend").map(({ body }) => body)).toEqual([{ reason: "has left" }]);
  });

  it("lose their sessions, and get a role or none", async () => {
    const revoked = await home.run(["admin", "users", "revoke-sessions", bob.email, "--yes"]);
    expect(revoked).toMatchObject({ code: 0, stdout: "✓ 2 session(s) of bob@example.com have ended.\n" });
    const role = (...args: string[]) => home.run(["admin", "users", "role", bob.email, ...args, ...WHY, "--yes"]);
    expect(await role("admin-operator")).toMatchObject({ code: 0 });
    expect((await role("none")).stdout).toContain("no administrator of the server any more");
    expect(server.seen("POST /admin/auth/users/*/admin-role").map(({ body }) => body)).toEqual([
      { role: "admin-operator", reason: "has left" },
      { role: null, reason: "has left" },
    ]);
    expect(await role("emperor")).toMatchObject({ code: 64 });
  });

  it("are refused to whoever is no administrator with the code of the control plane", async () => {
    server.on("GET /admin/auth/users", {
      status: 403,
      body: { code: "forbidden", message: "this needs instance:read" },
    });
    const result = await home.run(["admin", "users", "list"]);
    expect([result.code, result.stderr]).toEqual([69, expect.stringContaining("(forbidden)")]);
  });
});

describe("workspaces of the server", () => {
  const web = adminWorkspace();
  beforeEach(() => {
    const lookalike = adminWorkspace({ id: newId(), slug: "web-2", name: "web" });
    server.on("GET /admin/workspaces", ({ query }) =>
      query.has("cursor") || query.has("workspace_id")
        ? { body: { workspaces: [web], next_cursor: null } }
        : { body: { workspaces: [lookalike], next_cursor: "c" } },
    );
    for (const [action, status] of [
      ["suspend", "suspended"],
      ["reactivate", "active"],
    ]) {
      const body = { workspace_id: web.id, status, correlation_id: "c1" };
      server.on(`POST /admin/workspaces/*/${action}`, { body });
    }
  });

  it("are listed, and shown by their slug, not by one that only looks alike", async () => {
    const listed = await home.run(["admin", "workspaces", "list", "--all", "--status", "active"]);
    expect(listed.stdout).toMatch(/web-2 +web +active +2 +1 .*\nweb +Web Team +active/);
    const shown = await home.run(["admin", "workspaces", "show", "web", "--json"]);
    expect(JSON.parse(shown.stdout)).toEqual(web);
    expect((await home.run(["admin", "workspaces", "show", ids.workspace])).stdout).toMatch(/slug +web\n/);
    expect(await home.run(["admin", "workspaces", "show", "we"])).toMatchObject({ code: 64 });
  });

  it("are suspended and opened again, by their ids", async () => {
    expect(await home.run(["admin", "workspaces", "suspend", "web", ...WHY])).toMatchObject({ code: 64 });
    expect(await home.run(["admin", "workspaces", "suspend", "web", ...WHY, "--yes"])).toMatchObject({ code: 0 });
    expect(await home.run(["admin", "workspaces", "reactivate", "web", ...WHY])).toMatchObject({ code: 0 });
    const calls = ["suspend", "reactivate"].flatMap((action) => server.seen(`POST /admin/workspaces/*/${action}`));
    expect(calls.map(({ path, body }) => [path, body])).toEqual([
      [`/admin/workspaces/${web.id}/suspend`, { reason: "has left" }],
      [`/admin/workspaces/${web.id}/reactivate`, { reason: "has left" }],
    ]);
    expect(calls.map(({ headers }) => headers["idempotency-key"])).toEqual([
      expect.stringMatching(KEY),
      expect.stringMatching(KEY),
    ]);
  });
});
