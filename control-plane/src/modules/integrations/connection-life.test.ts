import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@shipfox/shared/ids";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, TEST_ROOT_KEY, testClock } from "../../testing/api.ts";
import { type GitServer, serveGit, TestRepository } from "../../testing/git-repository.ts";
import { insertProject, insertUser, insertWorkspace } from "../../testing/rows.ts";
import type { DefinitionSync } from "../definitions/public.ts";
import { Envelope } from "../secrets/public.ts";
import { access } from "../workspaces/public.ts";
import { definitionSyncs } from "./definition-syncs.fixture.ts";
import { createIntegrationRoutes, type Git, openGit, Providers, Sources } from "./public.ts";

const urls = { allowFile: true, allowHttp: true, allowPrivate: true };
const TOKEN = "s3cret";

describeStores("the life of a connection", (open) => {
  let store: Store;
  let api: Api;
  let folder: string;
  let git: Git;
  let syncs: DefinitionSync;
  let workspaceId: string;
  let connectionId: string;
  const clock = testClock();
  const users = {} as Record<"admin" | "maintainer" | "viewer" | "stranger", string>;

  beforeEach(async () => {
    store = await open();
    folder = await mkdtemp(join(tmpdir(), "shipfox-connection-life-"));
    git = await openGit({ folder, urls, environment: process.env });
    const envelope = new Envelope(TEST_ROOT_KEY);
    const sources = new Sources({ envelope, urls, github: null });
    const providers = new Providers(["git"]);
    syncs = definitionSyncs({ store, clock, sources, git });
    const deps = { store, clock, access, envelope, urls, sources, git, providers, syncs, github: null };
    api = await serveApi(createIntegrationRoutes(deps));
    for (const name of ["admin", "maintainer", "viewer", "stranger"] as const) users[name] = await insertUser(store);
    workspaceId = await insertWorkspace(store, {
      [users.admin]: "admin",
      [users.maintainer]: "maintainer",
      [users.viewer]: "viewer",
    });
    connectionId = (await connect({})).id;
  });
  afterEach(async () => {
    await Promise.all([api.close(), git.close(), syncs.stop()]);
    await rm(folder, { recursive: true });
  });

  const connect = async (fields: Record<string, unknown>) =>
    (
      await api.call("POST", "/integrations/git/connections", {
        user: users.admin,
        body: { workspace_id: workspaceId, name: "Git", ...fields },
      })
    ).body;
  const change = (body: unknown, user = users.admin, id = connectionId) =>
    api.call("PATCH", `/integration-connections/${id}`, { user, body });
  const remove = (user = users.admin, id = connectionId) =>
    api.call("DELETE", `/integration-connections/${id}`, { user });
  const repositories = (query = "", user = users.maintainer, id = connectionId) =>
    api.call("GET", `/integration-connections/${id}/repositories${query}`, { user });
  const audited = () =>
    store.read((tx) =>
      tx.all("select action, target_name, details from audit_events where action <> 'connection.created' order by id"),
    );

  it("is renamed, disabled and enabled by those who manage settings, each time noted", async () => {
    clock.advance(1_000);
    const renamed = await change({ display_name: "Our GitLab" });
    expect(renamed).toMatchObject({
      status: 200,
      body: { display_name: "Our GitLab", lifecycle_status: "active", slug: "git" },
    });
    expect(renamed.body.updated_at > renamed.body.created_at).toBe(true);
    expect((await change({ lifecycle_status: "disabled" })).body).toMatchObject({
      display_name: "Our GitLab",
      lifecycle_status: "disabled",
    });
    expect(await repositories()).toMatchObject({ status: 422, body: { code: "integration-connection-inactive" } });
    const projectId = await insertProject(store, { workspaceId, connectionId, repository: "git:file:///nowhere" });
    expect((await change({ lifecycle_status: "active" })).body.lifecycle_status).toBe("active");
    const synced = await store.read((tx) => tx.all<{ project_id: string }>("select project_id from definition_syncs"));
    expect(synced).toEqual([{ project_id: projectId }]);
    expect((await repositories()).status).toBe(200);
    expect(await audited()).toMatchObject([
      { action: "connection.updated", target_name: "Our GitLab" },
      { action: "connection.updated", details: expect.stringContaining("disabled") },
      { action: "connection.updated", details: expect.stringContaining("active") },
    ]);
    for (const body of [{}, { lifecycle_status: "error" }, { display_name: "" }, { display_name: "x".repeat(101) }])
      expect(await change(body)).toMatchObject({ status: 400, body: { code: "validation-error" } });
  });

  it("is removed when no project uses it, with its credential, and then it is nobody's", async () => {
    const project = await insertProject(store, {
      workspaceId,
      connectionId,
      repository: "git:https://git.example.com/a",
    });
    expect(await remove()).toMatchObject({
      status: 409,
      body: { code: "connection-in-use", details: { projects: [{ id: project, name: "Project" }] } },
    });
    await store.write((tx) => tx.run("delete from projects"));
    expect(await remove()).toMatchObject({ status: 204, body: null });
    expect(await store.read((tx) => tx.all("select id from connections"))).toEqual([]);
    expect(await remove()).toMatchObject({ status: 404, body: { code: "not-found" } });
    expect(await audited()).toMatchObject([{ action: "connection.deleted", target_name: "Git" }]);
  });

  it("is hidden from strangers and closed to members without the right", async () => {
    for (const reply of [
      await change({ lifecycle_status: "disabled" }, users.stranger),
      await remove(users.stranger),
      await change({ lifecycle_status: "disabled" }, users.admin, newId()),
    ])
      expect(reply).toMatchObject({ status: 404, body: { code: "not-found" } });
    expect(await repositories("", users.stranger)).toMatchObject({
      status: 404,
      body: { code: "integration-connection-not-found" },
    });
    for (const reply of [
      await change({ lifecycle_status: "disabled" }, users.maintainer),
      await remove(users.viewer),
      await repositories("", users.viewer),
    ])
      expect(reply).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect((await store.read((tx) => tx.all("select lifecycle_status from connections")))[0]).toEqual({
      lifecycle_status: "active",
    });
  });

  it("shows the repositories that projects use, page by page and by part of their name", async () => {
    const names = [
      "https://git.example.com/team/app.git",
      "git@git.example.com:team/lib",
      "https://git.example.com/other",
    ];
    for (const url of names) await insertProject(store, { workspaceId, connectionId, repository: `git:${url}` });
    const first = await repositories("?limit=2");
    expect(first.body.repositories).toMatchObject([
      {
        full_name: "team/lib",
        owner: "team",
        name: "lib",
        html_url: null,
        visibility: "unknown",
        default_branch: "main",
      },
      { full_name: "other", owner: "", name: "other", html_url: "https://git.example.com/other" },
    ]);
    const second = await repositories(`?limit=2&cursor=${first.body.next_cursor}`);
    expect(second.body).toMatchObject({
      repositories: [
        {
          connection_id: connectionId,
          external_repository_id: "git:https://git.example.com/team/app.git",
          full_name: "team/app",
          clone_url: "https://git.example.com/team/app.git",
          html_url: "https://git.example.com/team/app",
        },
      ],
      next_cursor: null,
    });
    const found = await repositories("?search=TEAM/");
    expect(found.body.repositories.map((repository: { name: string }) => repository.name)).toEqual(["lib", "app"]);
    expect((await repositories("?cursor=nonsense")).body.code).toBe("invalid-cursor");
  });

  it("tries a clone URL that is searched for, with its own credential and only below its base", async () => {
    const repository = await TestRepository.create();
    await repository.commit({ "README.md": "hello" });
    let server: GitServer | undefined;
    try {
      server = await serveGit(repository, { token: TOKEN });
      const { id } = await connect({ base_url: new URL(server.url).origin, token: TOKEN });
      const search = (url: string, connection = id) =>
        repositories(`?search=${encodeURIComponent(url)}`, users.maintainer, connection);
      expect((await search(server.url)).body.repositories).toMatchObject([
        { external_repository_id: `git:${server.url}`, default_branch: "main" },
      ]);
      expect(await search(server.url, connectionId)).toMatchObject({ status: 422, body: { code: "access-denied" } });
      expect(await search("https://evil.example.com/app")).toMatchObject({
        status: 400,
        body: { code: "invalid-repository-url" },
      });
      expect((await search("no address")).body.repositories).toEqual([]);
    } finally {
      await server?.close();
      await repository.remove();
    }
  });
});
