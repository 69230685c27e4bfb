import { afterEach, beforeEach, expect, it } from "vitest";
import { rotatedRing } from "../../../testing/rotated-ring.ts";
import type { ConnectionRow } from "../../../store/schema.ts";
import type { Store } from "../../../store/store.ts";
import { describeStores } from "../../../store/testing.ts";
import { insertConnection, insertWorkspace } from "../../../testing/rows.ts";
import { openWorld, type World } from "./github-world.fixture.ts";

describeStores("installing the GitHub App", (open) => {
  let store: Store;
  let world: World;

  beforeEach(async () => {
    store = await open();
    world = await openWorld(store);
  });
  afterEach(() => world.close());

  const connections = () => store.read((tx) => tx.all<ConnectionRow>("select * from connections order by id"));

  it("sends the browser to GitHub and links what comes back, for those who manage settings", async () => {
    const { github, api, users, workspaceId } = world;
    const app = await world.repository("Acme-Corp", "app", 7);
    const installation = github.install("Acme-Corp", [app]);
    const start = (user: string) =>
      api.call("POST", "/integrations/github/install", { user, body: { workspace_id: workspaceId } });
    const started = await start(users.admin);
    expect(started.status).toBe(200);
    expect(started.body.install_url).toMatch(
      /^http:\/\/127\.0\.0\.1:\d+\/github-apps\/shipfox-test\/installations\/new\?state=[\w-]+\.[\w-]+$/,
    );
    for (const user of [users.maintainer, users.stranger])
      expect(await start(user)).toMatchObject({ status: 403, body: { code: "forbidden" } });

    const state = new URL(started.body.install_url).searchParams.get("state") as string;
    const query = { code: github.codeOf([app]), installation_id: installation.id, state, setup_action: "install" };
    const linked = await world.callback(query);
    expect(linked).toMatchObject({
      status: 200,
      body: {
        workspace_id: workspaceId,
        provider: "github",
        external_account_id: String(installation.id),
        slug: "github_acme_corp",
        display_name: "GitHub Acme-Corp",
        lifecycle_status: "active",
        capabilities: ["source_control"],
        external_url: `${github.url}/Acme-Corp`,
      },
    });
    const audited = await store.read((tx) => tx.all("select action, target_id from audit_events"));
    expect(audited).toEqual([{ action: "connection.created", target_id: linked.body.id }]);
    expect((await api.call("GET", "/integration-providers", { user: users.viewer })).body.providers).toMatchObject([
      { provider: "git" },
      { provider: "github", capabilities: ["source_control"] },
    ]);
  });

  it("refuses a state that was forged, changed, used, is too old, or was made for another account", async () => {
    const { github, clock, users } = world;
    const app = await world.repository("acme", "app", 7);
    const { id: installation_id } = github.install("acme", [app]);
    const finish = async (state: string, user?: string) =>
      world.callback({ code: github.codeOf([app]), installation_id, state }, user);
    const state = await world.state();
    const [text = "", signature = ""] = state.split(".");
    const forged = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(text, "base64url").toString()), userId: users.viewer }),
    );
    for (const bad of [
      "nonsense",
      "a.b",
      `${text}.`,
      `${forged.toString("base64url")}.${signature}`,
      `${text}.${signature.slice(0, -1)}${signature.endsWith("A") ? "B" : "A"}`,
      `${state}.more`,
    ]) {
      expect(await finish(bad)).toMatchObject({ status: 400, body: { code: "invalid-github-install-state" } });
    }
    expect(await finish(state, users.maintainer)).toMatchObject({
      status: 403,
      body: { code: "github-install-state-actor-mismatch" },
    });
    expect(await connections()).toEqual([]);

    expect((await finish(state)).status).toBe(200);
    expect(await finish(state)).toMatchObject({ status: 400, body: { code: "invalid-github-install-state" } });
    const old = await world.state();
    clock.advance(30 * 60_000);
    expect(await finish(old)).toMatchObject({ status: 400, body: { code: "invalid-github-install-state" } });
    expect(await connections()).toHaveLength(1);
  });

  it("goes on after a rotation of the root key, unless tokens were revoked with it", async () => {
    const ring = await rotatedRing();
    const finish = async (at: World, state: string, name: string) => {
      const app = await at.repository(name, "app", 7);
      const { id: installation_id } = at.github.install(name, [app]);
      return (await at.callback({ code: at.github.codeOf([app]), installation_id, state })).status;
    };
    const rotated = await openWorld(store, ring.keys);
    try {
      const before = await rotated.state();
      ring.rotate({ revokeTokens: false });
      expect(await finish(rotated, before, "acme")).toBe(200);
      const revoked = await rotated.state();
      ring.rotate({ revokeTokens: true });
      expect(await finish(rotated, revoked, "other")).toBe(400);
      expect(await finish(rotated, await rotated.state(), "third")).toBe(200);
    } finally {
      await rotated.close();
    }
  });

  it("takes only installations that the person sees as a whole, by a code that GitHub accepts", async () => {
    const { github } = world;
    const [app, secret] = [await world.repository("acme", "app", 7), await world.repository("acme", "secret", 8)];
    const { id: installation_id } = github.install("acme", [app, secret]);
    const used = github.codeOf([app, secret]);
    await world.callback({ code: used, installation_id: 1, state: await world.state() });
    for (const [code, id] of [
      [github.codeOf([]), installation_id],
      [github.codeOf([app]), installation_id],
      ["made-up", installation_id],
      [used, installation_id],
      [github.codeOf([app, secret]), 999],
    ] as const) {
      expect(await world.callback({ code, installation_id: id, state: await world.state() })).toMatchObject({
        status: 403,
        body: { code: "github-installation-not-authorized" },
      });
    }
    expect(await connections()).toEqual([]);
  });

  it("gives an installation to one workspace only, also when two are asked for at once", async () => {
    const { github, users } = world;
    const app = await world.repository("acme", "app", 7);
    const { id: installation_id } = github.install("acme", [app]);
    const elsewhere = await insertWorkspace(store, { [users.admin]: "owner" });
    const finish = async (workspace?: string) =>
      world.callback({ code: github.codeOf([app]), installation_id, state: await world.state(users.admin, workspace) });
    const both = await Promise.all([finish(), finish(elsewhere)]);
    expect(both.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 409]);
    expect(both.find(({ status }) => status === 409)?.body.code).toBe("github-installation-already-linked");
    const [first] = await connections();
    const again = await finish(first?.workspace_id);
    expect(again).toMatchObject({ status: 200, body: { id: first?.id } });
    expect(await connections()).toHaveLength(1);
  });

  it("goes on with the connection of an app that was removed and installed anew", async () => {
    const { github } = world;
    const app = await world.repository("acme", "app", 7);
    const first = github.install("acme", [app]);
    const id = await world.link(first.id);
    await github.deliver(world.api.url, "installation", { action: "deleted", installation: { id: first.id } });
    github.installations.delete(first.id);
    const second = github.install("acme", [app]);
    expect(await world.link(second.id)).toBe(id);
    expect(await connections()).toMatchObject([
      { external_account_id: String(second.id), lifecycle_status: "active", slug: "github_acme" },
    ]);
  });

  it("numbers a slug that is taken", async () => {
    const { github, workspaceId } = world;
    const taken = await insertConnection(store, workspaceId);
    await store.write((tx) => tx.run("update connections set slug = 'github_acme' where id = ?", [taken]));
    await world.link(github.install("acme", [await world.repository("acme", "app", 7)]).id);
    expect((await connections()).map(({ slug }) => slug)).toEqual(["github_acme", "github_acme_2"]);
  });

  it("says what GitHub's trouble is, and links nothing", async () => {
    const { github } = world;
    const app = await world.repository("acme", "app", 7);
    const { id: installation_id } = github.install("acme", [app]);
    const finish = async () =>
      world.callback({ code: github.codeOf([app]), installation_id, state: await world.state() });
    github.faults.push({ path: /login\/oauth/, status: 502 });
    expect(await finish()).toMatchObject({ status: 503, body: { code: "provider-unavailable" } });
    github.faults.push({ path: /app\/installations/, status: 403, headers: { "retry-after": "90" } });
    expect(await finish()).toMatchObject({
      status: 429,
      body: { code: "rate-limited", details: { retry_after_seconds: 90 } },
    });
    expect(await connections()).toEqual([]);
    github.faults.push({ path: /app\/installations/, status: 500 }, { path: /app\/installations/, status: 503 });
    expect((await finish()).status).toBe(200);
  });
});
