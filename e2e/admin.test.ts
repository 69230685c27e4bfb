import { beforeAll, describe, expect, it } from "vitest";
import { Cli } from "./src/cli.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { useStage } from "./src/stage.ts";

const PASSWORD = "correct horse battery";
const WHY = ["--reason", "because"];

describe("the command line of the server's administrators", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let ada: Cli;
  let bob: Cli;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage, { env: { SHIPFOX_ALLOW_SIGNUP: "true" } });
    ada = await signUp("Ada", "ada@example.com");
    bob = await signUp("Bob", "bob@example.com");
    await bob.json("workspaces", "create", "Web", "--slug", "web");
  });

  const account = (email: string) => ["login", "--url", plane.url, "--email", email, "--password-stdin"];

  async function signUp(name: string, email: string): Promise<Cli> {
    const cli = await Cli.create(stage);
    const { code, stderr } = await cli.runWith({ input: PASSWORD }, ...account(email), "--signup", "--name", name);
    if (code !== 0) throw new Error(`${name} could not sign up: ${stderr}`);
    return cli;
  }

  it("is for administrators", async () => {
    for (const args of [["overview"], ["users", "list"], ["workspaces", "list"], ["settings", "get"], ["audit"]]) {
      const refused = await bob.run("admin", ...args);
      expect([args, refused.code, refused.stderr]).toEqual([args, 69, expect.stringContaining("(forbidden)")]);
    }
  });

  it("shows what the server has", async () => {
    expect((await ada.run("admin", "overview")).stdout).toMatch(/^users +2 active, 0 suspended, 1 administrator/m);
    const users = await ada.run("admin", "users", "list", "--search", "example.com");
    expect(users.stdout).toMatch(/bob@example\.com +Bob +active +- .*\nada@example\.com +Ada +active +admin-owner/);
    expect((await ada.run("admin", "users", "show", "bob@example.com")).stdout).toMatch(/^status +active$/m);
    expect((await ada.run("admin", "workspaces", "list")).stdout).toMatch(/^web +Web +active +1 +0/m);
    expect((await ada.run("admin", "root-key", "show")).stdout).toMatch(/good +0$/m);
  });

  it("shuts a user out, and lets him in again", async () => {
    const suspend = ["admin", "users", "suspend", "bob@example.com", ...WHY];
    expect((await ada.run(...suspend)).code).toBe(64);
    expect(await bob.run("workspaces", "list")).toMatchObject({ code: 0 });
    expect(await ada.run(...suspend, "--yes")).toMatchObject({ code: 0 });
    const twice = await ada.run(...suspend, "--yes");
    expect([twice.code, twice.stderr]).toEqual([69, expect.stringContaining("(user-already-suspended)")]);
    expect((await bob.run("workspaces", "list")).code).toBe(69);
    expect((await bob.runWith({ input: PASSWORD }, ...account("bob@example.com"))).code).toBe(69);
    expect(await ada.run("admin", "users", "reactivate", "bob@example.com")).toMatchObject({ code: 0 });
    expect(await bob.runWith({ input: PASSWORD }, ...account("bob@example.com"))).toMatchObject({ code: 0 });
    const revoked = await ada.json("admin", "users", "revoke-sessions", "bob@example.com", "--yes");
    expect(revoked).toMatchObject({ email: "bob@example.com", sessions_revoked: 1 });
    const { reset_url: link } = (await ada.json("admin", "users", "reset-link", "bob@example.com")) as {
      reset_url: string;
    };
    const input = `${link}\n${PASSWORD} anew`;
    expect(await bob.runWith({ input }, "password", "set", "--url", plane.url, "--stdin")).toMatchObject({ code: 0 });
  });

  it("makes administrators, and keeps an owner", async () => {
    const role = (email: string, wanted: string) => ada.run("admin", "users", "role", email, wanted, ...WHY, "--yes");
    expect(await role("bob@example.com", "admin-observer")).toMatchObject({ code: 0 });
    expect(await bob.run("admin", "overview")).toMatchObject({ code: 0 });
    expect((await bob.run("admin", "workspaces", "suspend", "web", ...WHY, "--yes")).code).toBe(69);
    const last = await role("ada@example.com", "none");
    expect([last.code, last.stderr]).toEqual([69, expect.stringContaining("(last-admin-owner)")]);
    expect(await role("bob@example.com", "none")).toMatchObject({ code: 0 });
    expect((await bob.run("admin", "overview")).code).toBe(69);
  });

  it("shuts a workspace for its members, and opens it again", async () => {
    expect(await ada.run("admin", "workspaces", "suspend", "web", ...WHY, "--yes")).toMatchObject({ code: 0 });
    expect((await ada.run("admin", "workspaces", "show", "web")).stdout).toMatch(/^status +suspended$/m);
    expect((await bob.run("members", "list", "--workspace", "web")).code).toBe(64);
    expect(await ada.run("admin", "workspaces", "reactivate", "web")).toMatchObject({ code: 0 });
    expect(await bob.run("members", "list")).toMatchObject({ code: 0 });
  });

  it("changes settings while the server runs, and gives them back", async () => {
    const set = ["admin", "settings", "set", ...WHY];
    expect((await ada.run(...set, "--allow-signup", "false")).stdout).toMatch(
      /^allow-signup +false +an administrator$/m,
    );
    const eve = await Cli.create(stage);
    const signup = [...account("eve@example.com"), "--signup", "--name", "Eve"];
    expect((await eve.runWith({ input: PASSWORD }, ...signup)).code).toBe(69);
    await ada.run(...set, "--allow-signup", "default", "--max-concurrent-runs", "7");
    expect((await ada.run("admin", "settings", "get")).stdout).toMatch(
      /^allow-signup +true +how the server was started$/m,
    );
    expect(await eve.runWith({ input: PASSWORD }, ...signup)).toMatchObject({ code: 0 });
  });

  it("makes a new root key with which everybody stays signed in", async () => {
    expect((await ada.run("admin", "root-key", "rotate", "--yes")).stdout.match(/^\S+ .*good/gm)).toHaveLength(2);
    expect(await bob.run("whoami")).toMatchObject({ code: 0 });
  });

  it("leaves all of it in the audit logs, with the reasons", async () => {
    const { audit_events } = (await ada.json("admin", "audit", "--actor", "ada@example.com", "--all")) as {
      audit_events: { action: string; details: { reason?: string } }[];
    };
    const changes = audit_events.filter(({ details }) => details.reason === "because").map(({ action }) => action);
    expect(changes.toReversed()).toEqual([
      "user.suspended",
      "user.admin_role_changed",
      "user.admin_role_changed",
      "workspace.suspended",
      "server_settings.changed",
      "server_settings.changed",
    ]);
    expect((await ada.run("admin", "audit", "--action", "root_key.rotated")).stdout).toContain("ada@example.com");
    expect((await bob.run("audit", "--action", "workspace.suspended")).stdout).toMatch(
      /ada@example\.com +workspace\.susp/,
    );
  });
});
