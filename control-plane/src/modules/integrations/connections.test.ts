import type { Role } from "@shipfox/shared/api/workspaces";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, TEST_ROOT_KEY, testClock } from "../../testing/api.ts";
import { insertProject, insertUser, insertWorkspace } from "../../testing/rows.ts";
import type { DefinitionSync } from "../definitions/public.ts";
import { Envelope } from "../secrets/public.ts";
import { access } from "../workspaces/public.ts";
import { definitionSyncs } from "./definition-syncs.fixture.ts";
import { Checkouts, createIntegrationRoutes, type Git, openGit, Providers, Sources } from "./public.ts";

const TOKEN = "glpat-very-secret";
const KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n";
const urls = { allowFile: false, allowHttp: false, allowPrivate: false };

describeStores("connections", (open) => {
  let store: Store;
  let api: Api;
  let folder: string;
  let git: Git;
  let syncs: DefinitionSync;
  let workspaceId: string;
  const clock = testClock();
  const envelope = new Envelope(TEST_ROOT_KEY);
  const sources = new Sources({ envelope, urls, github: null });
  const providers = new Providers(["git", "webhook"]);
  const members = {} as Record<Role, string>;

  beforeEach(async () => {
    store = await open();
    folder = await mkdtemp(join(tmpdir(), "shipfox-connections-"));
    git = await openGit({ folder, urls, environment: process.env });
    syncs = definitionSyncs({ store, clock, sources, git });
    const deps = { store, clock, access, envelope, urls, sources, git, providers, syncs, github: null };
    api = await serveApi(createIntegrationRoutes(deps));
    for (const role of ["owner", "admin", "maintainer", "viewer"] as const) members[role] = await insertUser(store);
    workspaceId = await insertWorkspace(
      store,
      Object.fromEntries(Object.entries(members).map(([role, id]) => [id, role as Role])),
    );
  });
  afterEach(async () => {
    await Promise.all([api.close(), git.close(), syncs.stop()]);
    await rm(folder, { recursive: true });
  });

  const create = (fields: Record<string, unknown> = {}, user = members.admin) =>
    api.call("POST", "/integrations/git/connections", {
      user,
      body: { workspace_id: workspaceId, name: "Our GitLab", ...fields },
    });

  it("keeps a credential sealed and shows it to nobody", async () => {
    const created = await create({ base_url: "https://git.example.com/team/", username: "bot", token: TOKEN });
    expect(created).toMatchObject({
      status: 201,
      body: {
        provider: "git",
        slug: "our-gitlab",
        lifecycle_status: "active",
        capabilities: ["source_control"],
        external_url: "https://git.example.com/team",
      },
    });
    const rows = await store.read((tx) => tx.all("select * from connections"));
    expect(JSON.stringify([rows, created.body])).not.toContain(TOKEN);
    const list = await api.call("GET", `/integration-connections?workspace_id=${workspaceId}`, {
      user: members.viewer,
    });
    expect(list.body).toEqual({ connections: [created.body] });
    const tools = await api.call("GET", `/integration-connections?workspace_id=${workspaceId}&capability=agent_tools`, {
      user: members.viewer,
    });
    expect(tools.body).toEqual({ connections: [] });
  });

  it("is made by those who manage the workspace", async () => {
    expect((await create({}, members.owner)).status).toBe(201);
    expect((await create({}, members.admin)).body.slug).toBe("our-gitlab-2");
    for (const user of [members.maintainer, members.viewer, await insertUser(store)]) {
      expect(await create({}, user)).toMatchObject({ status: 403, body: { code: "forbidden" } });
    }
    expect(
      await api.call("GET", `/integration-connections?workspace_id=${workspaceId}`, { user: await insertUser(store) }),
    ).toMatchObject({ status: 403 });
  });

  it.each([
    [{ token: TOKEN }, "validation-error", /base_url/],
    [{ token: TOKEN, base_url: "ssh://git@git.example.com/team" }, "validation-error", /base_url/],
    [{ base_url: "http://git.example.com" }, "invalid-repository-url", /SHIPFOX_GIT_ALLOW_HTTP/],
    [{ base_url: "https://10.0.0.1" }, "invalid-repository-url", /SHIPFOX_GIT_ALLOW_PRIVATE/],
    [{ username: "a:b" }, "validation-error", /username/],
    [{ ssh_key: "ssh-ed25519 AAAA" }, "validation-error", /ssh_key/],
    [{ unknown_field: 1 }, "validation-error", /unknown_field/],
  ])("refuses %j", async (fields, code, message) => {
    expect(await create(fields)).toMatchObject({
      status: 400,
      body: { code, message: expect.stringMatching(message) },
    });
  });

  it("lists the providers", async () => {
    const git = { provider: "git", display_name: "Git", capabilities: ["source_control"] };
    expect((await api.call("GET", "/integration-providers", { user: members.viewer })).body).toEqual({
      providers: [git, { provider: "webhook", display_name: "Webhook", capabilities: [] }],
    });
    expect(
      (await api.call("GET", "/integration-providers?capability=agent_tools", { user: members.viewer })).body,
    ).toEqual({ providers: [] });
  });

  it("hands a runner the credential that goes with the repository's protocol, and no other", async () => {
    const checkouts = new Checkouts({ store, clock, sources });
    const https = (await create({ base_url: "https://git.example.com:8443/team", token: TOKEN })).body;
    const ssh = (await create({ username: "bot", ssh_key: KEY })).body;
    const overHttps = await insertProject(store, {
      workspaceId,
      connectionId: https.id,
      repository: "git:https://git.example.com:8443/team/app",
    });
    const overSsh = await insertProject(store, {
      workspaceId,
      connectionId: ssh.id,
      repository: "git:git@git.example.com:app",
    });
    const open = await insertProject(store, {
      workspaceId,
      connectionId: ssh.id,
      repository: "git:https://git.example.com/app",
    });

    expect(await checkouts.checkout({ workspaceId, projectId: overHttps, access: { contents: "read" } })).toEqual({
      isOwn: true,
      repository_url: "https://git.example.com:8443/team/app",
      ref: "main",
      fetch_depth: 1,
      auth: {
        kind: "basic",
        username: "git",
        token: TOKEN,
        carry: "header",
        host: "git.example.com:8443",
        persist: false,
        expires_at: new Date(clock.now() + 3_600_000).toISOString(),
      },
    });
    expect(await checkouts.checkout({ workspaceId, projectId: overSsh, access: { contents: "read" } })).toEqual({
      isOwn: true,
      repository_url: "git@git.example.com:app",
      ref: "main",
      fetch_depth: 1,
      ssh_key: KEY,
    });
    expect(await checkouts.checkout({ workspaceId, projectId: open, access: { contents: "read" } })).toEqual({
      isOwn: true,
      repository_url: "https://git.example.com/app",
      ref: "main",
      fetch_depth: 1,
    });
    await expect(
      checkouts.checkout({ workspaceId, projectId: workspaceId, access: { contents: "read" } }),
    ).rejects.toMatchObject({
      code: "checkout-unavailable",
    });
  });

  it("sends a token to no repository outside of the base URL, and none of a disabled connection", async () => {
    const { id: connectionId } = (await create({ base_url: "https://git.example.com/team", token: TOKEN })).body;
    const source = (externalId: string) =>
      store.read((tx) => sources.ofConnection(tx, { workspaceId, connectionId, externalId }));
    const open = await (await source("git:https://git.example.com/team/app")).open({ contents: "read" });
    expect(open.credential.token).toBe(TOKEN);
    await expect(source("git:https://evil.example.com/team/app")).rejects.toMatchObject({
      code: "invalid-repository-url",
    });
    await expect(source("git:https://git.example.com/team-evil/app")).rejects.toMatchObject({
      code: "invalid-repository-url",
    });
    await store.write((tx) => tx.run("update connections set lifecycle_status = 'disabled'"));
    await expect(source("git:https://git.example.com/team/app")).rejects.toMatchObject({
      code: "source-connection-inactive",
    });
    const elsewhere = await insertWorkspace(store, {});
    const foreign = store.read((tx) =>
      sources.ofConnection(tx, {
        workspaceId: elsewhere,
        connectionId,
        externalId: "git:https://git.example.com/team/app",
      }),
    );
    await expect(foreign).rejects.toMatchObject({ code: "source-connection-not-found" });
  });
});
