import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { membership, project } from "../testing/fixtures.ts";
import { CliHome } from "../testing/run-cli.ts";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";

const TIMES = { created_at: "2026-01-01T00:00:00.000Z", updated_at: "2026-01-01T00:00:00.000Z", last_edited_by: null };
const secret = (key: string) => ({ key, project_id: null, ...TIMES });
const variable = (key: string, value: string) => ({ ...secret(key), value });

let server: StandInServer;
let home: CliHome;
beforeEach(async () => {
  server = await StandInServer.start();
  home = await CliHome.create();
  await home.signIn(server.url);
  server.on("GET /workspaces", { body: { memberships: [membership()] } });
  server.on("GET /projects", { body: { projects: [project()], next_cursor: null } });
});
afterEach(async () => {
  await home[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

describe("secrets", () => {
  it("are set from stdin or a file, never from the command line", async () => {
    const warnings = [{ code: "short-secret-value", key: "TOKEN", message: "it is short" }];
    server.on("PUT /workspaces/*/secrets/TOKEN", { body: { secret: secret("TOKEN"), warnings } });
    const typed = await home.run(["secrets", "set", "TOKEN"], { stdin: "a\nb\n" });
    expect(typed).toMatchObject({ code: 0, stderr: "" });
    expect(typed.stdout).toContain("Set the secret TOKEN of the workspace");
    expect(typed.stdout).toContain("it is short (short-secret-value)");
    await writeFile(join(home.directory, "key.pem"), "line 1\nline 2\n");
    await home.run(["secrets", "set", "TOKEN", "--from-file", "key.pem", "--project", project().slug]);
    expect(server.seen("PUT /workspaces/*/secrets/TOKEN").map(({ body }) => body)).toEqual([
      { value: "a\nb" },
      { value: "line 1\nline 2\n", project_id: project().id },
    ]);
    const inArgv = await home.run(["secrets", "set", "TOKEN", "hunter2"]);
    expect(inArgv.code).toBe(64);
    const empty = await home.run(["secrets", "set", "TOKEN"], { stdin: "" });
    expect([empty.code, empty.stderr]).toEqual([64, expect.stringContaining("stdin is empty")]);
    const missing = await home.run(["secrets", "set", "TOKEN", "--from-file", "nothing"]);
    expect([missing.code, missing.stderr]).toEqual([64, expect.stringContaining("There is no file nothing.")]);
    const folder = await home.run(["secrets", "set", "TOKEN", "--from-file", "."]);
    expect([folder.code, folder.stderr]).toEqual([64, expect.stringContaining(". is a folder; a file is needed.")]);
  });

  it("are listed and deleted", async () => {
    server.on("GET /workspaces/*/secrets", { body: { secrets: [secret("TOKEN")], next_cursor: null } });
    server.on("DELETE /workspaces/*/secrets/TOKEN", { status: 204 });
    expect((await home.run(["secrets", "list"])).stdout).toMatch(/KEY +UPDATED\nTOKEN/);
    expect(JSON.parse((await home.run(["secrets", "list", "--json"])).stdout).secrets).toEqual([secret("TOKEN")]);
    expect((await home.run(["secrets", "delete", "TOKEN", "-p", project().slug])).code).toBe(0);
    expect(server.seen("DELETE /workspaces/*/secrets/TOKEN")[0]?.query.get("project_id")).toBe(project().id);
  });

  it("are deleted by a person who is sure, who may say so beforehand", async () => {
    server.on("DELETE /workspaces/*/secrets/TOKEN", { status: 204 });
    const deleted = () => server.seen("DELETE /workspaces/*/secrets/TOKEN").length;
    using unsure = home.startOnTerminal(["secrets", "delete", "TOKEN"]);
    await unsure.answer("Delete the secret TOKEN of the workspace web?", "n");
    expect([await unsure.finish(), deleted()]).toEqual([130, 0]);
    using sure = home.startOnTerminal(["secrets", "delete", "TOKEN"]);
    await sure.answer("Delete the secret TOKEN of the workspace web?", "y");
    expect([await sure.finish(), deleted()]).toEqual([0, 1]);
    using unasked = home.startOnTerminal(["secrets", "delete", "TOKEN", "--yes"]);
    expect([await unasked.finish(), deleted()]).toEqual([0, 2]);
  });

  it("explain their commands with examples", async () => {
    for (const args of [["secrets"], ["secrets", "set"], ["variables"], ["variables", "get"]]) {
      expect((await home.run([...args, "--help"])).stdout).toContain("Examples:\n  $ shipfox");
    }
  });
});

describe("variables", () => {
  it("are set, read, listed and deleted", async () => {
    server.on("PUT /workspaces/*/variables/REGION", { body: { variable: variable("REGION", "eu"), warnings: [] } });
    server.on("GET /workspaces/*/variables/REGION", { body: { variable: variable("REGION", "eu\nwest") } });
    const listed = { ...variable("REGION", "eu"), value_truncated: true };
    server.on("GET /workspaces/*/variables", { body: { variables: [listed], next_cursor: null } });
    server.on("DELETE /workspaces/*/variables/REGION", { status: 204 });
    expect((await home.run(["variables", "set", "REGION", "eu"])).stdout).toContain("Set the variable REGION");
    expect(server.seen("PUT /workspaces/*/variables/REGION")[0]?.body).toEqual({ value: "eu" });
    expect((await home.run(["variables", "get", "REGION"])).stdout).toBe("eu\nwest\n");
    expect((await home.run(["variables", "list"])).stdout).toMatch(/REGION +eu …/);
    expect((await home.run(["variables", "delete", "REGION"])).code).toBe(0);
  });

  it("that do not exist are told with the code of the control plane", async () => {
    const body = { code: "variable-not-found", message: "there is no such variable" };
    server.on("GET /workspaces/*/variables/NO", { status: 404, body });
    const result = await home.run(["variables", "get", "NO", "--workspace", membership().workspace_id]);
    expect([result.code, result.stderr]).toEqual([64, expect.stringContaining("(variable-not-found)")]);
  });
});
