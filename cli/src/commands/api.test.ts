import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CliHome } from "../testing/run-cli.ts";

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

describe("a request to the API as it is", () => {
  it("is signed in, has the headers that are given, and its answer is printed byte for byte", async () => {
    server.on("GET /things", { body: { b: 1, a: [] } });
    const result = await home.run(["api", "get", "/things?x=%20y", "-H", "x-test: 1"]);
    expect(result).toEqual({ code: 0, stdout: '{"b":1,"a":[]}', stderr: "" });
    const [seen] = server.seen("GET /things");
    expect(seen?.headers).toMatchObject({ authorization: "Bearer access-1", "x-test": "1" });
    expect(seen?.query.get("x")).toBe(" y");
  });

  it("takes its body from a file or from stdin", async () => {
    server.on("POST /things", { status: 201, body: {} });
    await writeFile(join(home.directory, "thing.json"), '{"name":"ü"}');
    expect((await home.run(["api", "POST", "/things", "-f", "thing.json"])).code).toBe(0);
    expect((await home.run(["api", "POST", "/things", "-f", "-"], { stdin: '{"name":"b"}' })).code).toBe(0);
    expect(server.seen("POST /things").map(({ body }) => body)).toEqual([{ name: "ü" }, { name: "b" }]);
    const missing = await home.run(["api", "POST", "/things", "-f", "missing.json"]);
    expect([missing.code, missing.stderr]).toEqual([64, expect.stringContaining("There is no file missing.json.")]);
  });

  it("prints the body of a refusal too, says its status, and exits as every command does", async () => {
    const body = { code: "not-found", message: "no such thing" };
    server.on("GET /things", { status: 404, body }).on("GET /closed", { status: 403, body });
    const refused = await home.run(["api", "GET", "/things", "-i"]);
    expect(refused.code).toBe(64);
    expect(refused.stdout).toMatch(/^HTTP 404\n[^]*\ncontent-type: application\/json[^]*\n\n\{"code":"not-found"/);
    expect(refused.stderr).toContain("The control plane answered 404.");
    expect((await home.run(["api", "GET", "/closed"])).code).toBe(69);
  });

  it("goes on from page to page, one document a line", async () => {
    server.on("GET /things", ({ query }) => ({
      body: { things: [query.get("cursor") ?? "first"], next_cursor: query.has("cursor") ? null : "c&1" },
    }));
    const { code, stdout } = await home.run(["api", "GET", "/things?limit=1", "--paginate"]);
    expect(code).toBe(0);
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).things),
    ).toEqual([["first"], ["c&1"]]);
    expect(server.seen("GET /things")[1]?.query.get("limit")).toBe("1");
    expect((await home.run(["api", "POST", "/things", "--paginate"])).code).toBe(64);
  });

  it("renews a token that is refused, once", async () => {
    server.on("GET /things", ({ headers }) =>
      headers.authorization === "Bearer access-1"
        ? { status: 401, body: { code: "unauthorized", message: "expired" } }
        : { body: { ok: true } },
    );
    const user = { id: "01981f0e-6a5e-7c3b-9c0a-000000000001", email: "a@b.example", name: "A", status: "active" };
    const times = {
      email_verified_at: null,
      created_at: "2026-01-01T00:00:00.000Z",
      updated_at: "2026-01-01T00:00:00.000Z",
    };
    server.on("POST /auth/refresh", {
      body: { token: "access-2", user: { ...user, ...times }, membership: null, admin_role: null },
    });
    expect((await home.run(["api", "GET", "/things"])).stdout).toBe('{"ok":true}');
  });

  it.each(["things", "//evil.example/x", "/\\evil.example", "https://evil.example/", "/a b"])(
    "never leaves the control plane: %j is no path",
    async (path) => {
      expect((await home.run(["api", "GET", path])).code).toBe(64);
      expect(server.requests).toEqual([]);
    },
  );

  it("is not led elsewhere by a redirect", async () => {
    server.on("GET /things", { status: 302, body: {}, headers: { location: "/other" } });
    expect((await home.run(["api", "GET", "/things"])).code).toBe(69);
    expect(server.seen("GET /other")).toEqual([]);
  });
});
