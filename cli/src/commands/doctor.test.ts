import { newId } from "@shipfox/shared/ids";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { VERSION } from "@shipfox/shared/version";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { membership, runner, user } from "../testing/fixtures.ts";
import { CliHome } from "../testing/run-cli.ts";

let server: StandInServer;
let home: CliHome;
beforeEach(async () => {
  server = await StandInServer.start();
  home = await CliHome.create();
  server.on("GET /", { body: { name: "shipfox", version: VERSION, docs: "/docs", needs_setup: false } });
  server.on("GET /auth/me", { body: { user, admin_role: null } });
  server.on("GET /workspaces", { body: { memberships: [membership()] } });
  serveRunners([runner()]);
});
afterEach(async () => {
  await home[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function serveRunners(runners: unknown[]): void {
  server.on("GET /workspaces/*/runners", { body: { runners } });
}

async function findings(): Promise<{ code: number | null; byName: Map<string, { status: string; next?: string }> }> {
  const { code, stdout } = await home.run(["doctor", "--json"]);
  const { checks } = JSON.parse(stdout) as { checks: { name: string; status: string; next?: string }[] };
  return { code, byName: new Map(checks.map((check) => [check.name, check])) };
}

describe("shipfox doctor", () => {
  it("finds nothing where all is well", async () => {
    await home.signIn(server.url);
    const { code, stdout } = await home.run(["doctor"]);
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.split(":")[0]),
    ).toEqual(["✓ server", "✓ version", "✓ clock", "✓ credentials", "✓ runners of web", "✓ git"]);
    expect(code).toBe(0);
  });

  it("tells a server that does not answer from credentials that are not there", async () => {
    await home.signIn("http://127.0.0.1:1");
    const away = await findings();
    expect([away.code, away.byName.get("server")]).toMatchObject([1, { status: "failed" }]);
    expect(away.byName.has("credentials")).toBe(false);
    await home.signIn(server.url);
    await home.run(["logout"]);
    const nobody = await findings();
    expect(nobody.code).toBe(1);
    expect(nobody.byName.get("credentials")).toMatchObject({
      status: "failed",
      next: expect.stringContaining("shipfox login"),
    });
  });

  it("names the next command for a clock that is wrong, a session that ended and runners that are missing", async () => {
    await home.signIn(server.url);
    const body = { name: "shipfox", version: VERSION, docs: "/docs", needs_setup: false };
    server.on("GET /", { body, headers: { date: "Mon, 06 Jul 2020 10:00:00 GMT" } });
    serveRunners([]);
    const wrong = await findings();
    expect(wrong.code).toBe(1);
    expect(wrong.byName.get("clock")).toMatchObject({ status: "failed", next: expect.stringContaining("timedatectl") });
    expect(wrong.byName.get("runners of web")).toMatchObject({
      status: "warning",
      next: expect.stringContaining("shipfox runners add --workspace web"),
    });
    const refused = { status: 401, body: { code: "unauthorized", message: "no" } };
    server.on("GET /auth/me", refused).on("POST /auth/refresh", refused);
    expect((await findings()).byName.get("credentials")).toMatchObject({
      status: "failed",
      next: expect.stringContaining("shipfox login"),
    });
  });

  it("asks a deleted workspace for nothing, and looks at the others when one refuses", async () => {
    await home.signIn(server.url);
    const [gone, shut] = [newId(), newId()];
    const memberships = [
      membership(),
      membership({ workspace_id: gone, workspace_slug: "gone", workspace_status: "deleted" }),
      membership({ workspace_id: shut, workspace_slug: "shut" }),
    ];
    server.on("GET /workspaces", { body: { memberships } });
    const refused = { status: 404, body: { code: "workspace-inactive", message: "The workspace is not active." } };
    server.on(`GET /workspaces/${gone}/runners`, refused).on(`GET /workspaces/${shut}/runners`, refused);
    const { code, byName } = await findings();
    expect(code).toBe(1);
    expect([...byName.keys()]).not.toContain("runners of gone");
    expect(byName.get("runners of web")).toMatchObject({ status: "ok" });
    expect(byName.get("runners of shut")).toMatchObject({
      status: "failed",
      message: expect.stringContaining("not active"),
      next: "shipfox runners list --workspace shut",
    });
    expect(byName.get("git")).toMatchObject({ status: "ok" });
  });

  it("warns of runners that are unhealthy, and fails when all are", async () => {
    await home.signIn(server.url);
    const unhealthy = { reason: "there is no Docker", since: "2026-07-06T10:00:00.000Z" };
    const ill = runner({ state: "unhealthy", unhealthy });
    serveRunners([runner(), ill]);
    expect((await findings()).byName.get("runners of web")?.status).toBe("warning");
    serveRunners([ill]);
    expect((await findings()).byName.get("runners of web")?.status).toBe("failed");
  });
});
