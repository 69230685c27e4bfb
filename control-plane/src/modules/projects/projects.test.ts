import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "@shipfox/shared/ids";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, silentLog, TEST_ROOT_KEY, testClock } from "../../testing/api.ts";
import { serveGit, TestRepository } from "../../testing/git-repository.ts";
import { insertProject, insertUser, insertWorkspace } from "../../testing/rows.ts";
import { createDefinitionRoutes, DefinitionReader, DefinitionStarter, DefinitionSync } from "../definitions/public.ts";
import {
  createIntegrationRoutes,
  followRepository,
  type Git,
  openGit,
  Providers,
  Sources,
} from "../integrations/public.ts";
import { Envelope } from "../secrets/public.ts";
import { Subscriptions } from "../triggers/public.ts";
import { access } from "../workspaces/public.ts";
import { createProjectRoutes, createWorkflowSource, projects } from "./public.ts";

const urls = { allowFile: true, allowHttp: true, allowPrivate: true };
const TOKEN = "s3cret";

function workflow(name: string): string {
  return `name: ${name}\njobs:\n  build:\n    runner: linux\n    steps:\n      - run: echo hello\n`;
}

describeStores("projects", (open) => {
  let store: Store;
  let folder: string;
  let git: Git;
  let syncs: DefinitionSync;
  let api: Api;
  let repository: TestRepository;
  let workspaceId: string;
  let connectionId: string;
  const users = {} as Record<"admin" | "viewer" | "stranger", string>;
  const clock = testClock();

  beforeEach(async () => {
    store = await open();
    folder = await mkdtemp(join(tmpdir(), "shipfox-projects-"));
    git = await openGit({ folder, urls, environment: process.env, lsRemoteTimeoutMs: 2_000, fetchTimeoutMs: 10_000 });
    const envelope = new Envelope(TEST_ROOT_KEY);
    const sources = new Sources({ envelope, urls, github: null });
    const subscriptions = new Subscriptions(() => {});
    const source = createWorkflowSource({ store, clock, sources, git });
    const deps = { store, clock, access, log: silentLog, projects, reader: new DefinitionReader([]), subscriptions };
    syncs = new DefinitionSync({ ...deps, source });
    api = await serveApi([
      ...createIntegrationRoutes({
        ...deps,
        envelope,
        urls,
        sources,
        git,
        github: null,
        syncs,
        providers: new Providers(["git"]),
      }),
      ...createProjectRoutes({ ...deps, sources, git, syncs, followRepository }),
      ...createDefinitionRoutes({
        ...deps,
        starter: new DefinitionStarter(() => Promise.reject(new Error("no run is started here"))),
      }),
    ]);
    for (const name of ["admin", "viewer", "stranger"] as const) users[name] = await insertUser(store);
    workspaceId = await insertWorkspace(store, { [users.admin]: "admin", [users.viewer]: "viewer" });
    connectionId = await connect({});
    repository = await TestRepository.create();
    await repository.commit({ ".shipfox/workflows/ci.yml": workflow("CI"), "README.md": "hello" });
  });
  afterEach(async () => {
    await Promise.all([api.close(), git.close(), syncs.stop(), repository.remove()]);
    await rm(folder, { recursive: true, force: true });
  });

  async function connect(fields: Record<string, unknown>): Promise<string> {
    const body = { workspace_id: workspaceId, name: "Git", ...fields };
    return (await api.call("POST", "/integrations/git/connections", { user: users.admin, body })).body.id;
  }
  function create(url: string, fields: Record<string, unknown> = {}, user = users.admin) {
    const source = {
      connection_id: (fields["connection_id"] as string) ?? connectionId,
      external_repository_id: `git:${url}`,
    };
    return api.call("POST", "/projects", {
      user,
      body: { workspace_id: workspaceId, name: "My App", source, ...fields },
    });
  }
  const sync = (id: string, user = users.admin) => api.call("POST", `/projects/${id}/sync`, { user });
  async function definitions(id: string) {
    const { body } = await api.call("GET", `/definitions?project_id=${id}`, { user: users.viewer });
    return {
      names: body.definitions.map((definition: { name: string }) => definition.name),
      sync: body.sync,
      all: body.definitions,
    };
  }

  it("binds a repository and syncs its workflows in the background", async () => {
    const created = await create(repository.fileUrl);
    const { id } = created.body;
    expect(created).toMatchObject({
      status: 201,
      body: {
        workspace_id: workspaceId,
        name: "My App",
        slug: "my-app",
        source: { connection_id: connectionId, external_repository_id: `git:${repository.fileUrl}` },
      },
    });
    await expect.poll(async () => (await definitions(id)).sync.status).toBe("succeeded");
    const { all } = await definitions(id);
    const sha = await repository.git("rev-parse", "HEAD");
    expect(all).toMatchObject([
      { name: "CI", source: "vcs", ref: "main", sha, config_path: ".shipfox/workflows/ci.yml" },
    ]);
    expect((await api.call("GET", `/projects/${id}`, { user: users.viewer })).body).toEqual(created.body);
  });

  it("saves nothing when the repository cannot be read, and says why", async () => {
    const hanging = createServer(() => {});
    await new Promise<void>((resolve) => hanging.listen(0, "127.0.0.1", resolve));
    const guarded = await serveGit(repository, { token: TOKEN });
    const cases = [
      [`file://${folder}/nothing`, 422, "repository-not-found"],
      [guarded.url, 422, "access-denied"],
      [`http://127.0.0.1:${(hanging.address() as AddressInfo).port}/app`, 503, "timeout"],
      ["https://user:pass@git.example.com/app", 400, "invalid-repository-url"],
    ] as const;
    for (const [url, status, code] of cases) expect(await create(url)).toMatchObject({ status, body: { code } });
    const list = await api.call("GET", `/projects?workspace_id=${workspaceId}`, { user: users.admin });
    expect(list.body).toEqual({ projects: [], next_cursor: null });
    hanging.closeAllConnections();
    hanging.close();
    await guarded.close();
  });

  it("reads a private repository with the connection's token", async () => {
    const guarded = await serveGit(repository, { token: TOKEN });
    const connection_id = await connect({ base_url: new URL(guarded.url).origin, token: TOKEN });
    const { id } = (await create(guarded.url, { connection_id })).body;
    expect(await sync(id)).toMatchObject({ status: 200, body: { status: "succeeded" } });
    expect((await definitions(id)).names).toEqual(["CI"]);
    await guarded.close();
    expect(await sync(id)).toMatchObject({
      status: 200,
      body: { status: "failed", last_error_code: "provider-unavailable" },
    });
    expect((await definitions(id)).names).toEqual(["CI"]);
  });

  it("follows the repository at each sync: changed, removed and faulty files, the renamed branch", async () => {
    const { id } = (await create(repository.fileUrl)).body;
    await repository.commit({ ".shipfox/workflows/cd.yaml": workflow("CD") });
    expect((await sync(id)).body).toMatchObject({
      status: "succeeded",
      ref: "main",
      last_error_code: null,
      warnings: [],
    });
    expect((await definitions(id)).names).toEqual(["CD", "CI"]);

    await repository.commit({
      ".shipfox/workflows/ci.yml": workflow("CI two"),
      ".shipfox/workflows/cd.yaml": "name: [\n",
    });
    expect((await sync(id)).body).toMatchObject({
      status: "failed",
      last_error_code: "invalid-definition",
      last_error_message: expect.stringContaining(".shipfox/workflows/cd.yaml:"),
    });
    expect((await definitions(id)).names).toEqual(["CD", "CI two"]);

    await repository.commit({ ".shipfox/workflows/cd.yaml": null });
    await repository.git("branch", "--move", "trunk");
    expect((await sync(id)).body).toMatchObject({ status: "succeeded", ref: "trunk" });
    expect((await definitions(id)).names).toEqual(["CI two"]);
    expect(await store.read((tx) => tx.get("select default_branch from projects"))).toEqual({
      default_branch: "trunk",
    });
  });

  it("answers calls that come together with syncs that saw everything", async () => {
    const { id } = (await create(repository.fileUrl)).body;
    const replies = await Promise.all([sync(id), sync(id), sync(id)]);
    expect(replies.map((reply) => reply.body.status)).not.toContain("failed");
    await repository.commit({ ".shipfox/workflows/late.yml": workflow("Late") });
    await Promise.all([sync(id), sync(id)]);
    expect((await definitions(id)).names).toContain("Late");
  });

  it("has one project for a repository of a connection, also when two are made at once", async () => {
    const replies = await Promise.all([
      create(repository.fileUrl),
      create(`${repository.fileUrl}/`, { name: "Other" }),
    ]);
    expect(replies.map((reply) => reply.status).sort((a, b) => a - b)).toEqual([201, 409]);
    const made = replies.find((reply) => reply.status === 201)?.body;
    const details = {
      existing_project_id: made.id,
      source_connection_id: connectionId,
      source_external_repository_id: `git:${repository.fileUrl}`,
    };
    expect(replies.find((reply) => reply.status === 409)?.body).toMatchObject({
      code: "project-already-exists",
      details,
    });
    expect((await create(repository.fileUrl)).body).toMatchObject({ code: "project-already-exists", details });
  });

  it("numbers derived slugs, refuses a given one that is taken", async () => {
    const second = await TestRepository.create();
    await second.commit({ "README.md": "hello" });
    await create(repository.fileUrl);
    expect(await create(second.fileUrl, { slug: "my-app" })).toMatchObject({
      status: 409,
      body: { code: "slug-conflict" },
    });
    expect((await create(second.fileUrl)).body.slug).toBe("my-app-2");
    await second.remove();
  });

  it("takes only connections of the workspace", async () => {
    const elsewhere = await insertWorkspace(store, { [users.admin]: "owner" });
    expect(await create(repository.fileUrl, { workspace_id: elsewhere })).toMatchObject({
      status: 404,
      body: { code: "source-connection-not-found" },
    });
    await store.write((tx) => tx.run("update connections set lifecycle_status = 'disabled'"));
    expect(await create(repository.fileUrl)).toMatchObject({
      status: 422,
      body: { code: "source-connection-inactive" },
    });
  });

  it("shows strangers nothing and lets viewers change nothing", async () => {
    const { id } = (await create(repository.fileUrl)).body;
    for (const reply of [
      await api.call("GET", `/projects/${id}`, { user: users.stranger }),
      await api.call("GET", `/projects/${newId()}`, { user: users.admin }),
      await sync(id, users.stranger),
    ]) {
      expect(reply).toMatchObject({ status: 404, body: { code: "project-not-found" } });
    }
    expect(await create(repository.fileUrl, {}, users.stranger)).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
    expect(await create(repository.fileUrl, {}, users.viewer)).toMatchObject({
      status: 403,
      body: { code: "forbidden" },
    });
    expect(await sync(id, users.viewer)).toMatchObject({ status: 403, body: { code: "forbidden" } });
    expect(await api.call("GET", `/projects?workspace_id=${workspaceId}`, { user: users.stranger })).toMatchObject({
      status: 403,
    });
  });

  it("lists projects newest first, page by page, and finds them by part of name or slug", async () => {
    for (const [index, name] of ["Alpha", "Beta_1", "Gamma", "betamax"].entries()) {
      const sql = `insert into projects (id, workspace_id, name, slug, connection_id, external_repository_id, default_branch, created_at, updated_at)
        values (?, ?, ?, ?, ?, ?, 'main', ?, 0)`;
      const createdAt = 1_000 + Math.min(index, 2);
      await store.write((tx) =>
        tx.run(sql, [newId(), workspaceId, name, `slug-${index}`, connectionId, `git:${index}`, createdAt]),
      );
    }
    const names = async (query: string) => {
      const found: string[] = [];
      for (let cursor: string | null = ""; cursor !== null; ) {
        const after = cursor === "" ? "" : `&cursor=${cursor}`;
        const { body } = await api.call("GET", `/projects?workspace_id=${workspaceId}&limit=1${query}${after}`, {
          user: users.viewer,
        });
        found.push(...body.projects.map((project: { name: string }) => project.name));
        cursor = body.next_cursor;
      }
      return found;
    };
    expect(await names("")).toEqual(["betamax", "Gamma", "Beta_1", "Alpha"]);
    expect(await names("&search=BETA")).toEqual(["betamax", "Beta_1"]);
    expect(await names("&search=_")).toEqual(["Beta_1"]);
    expect(await names("&search=%25")).toEqual([]);
    expect(await names("&search=slug-0")).toEqual(["Alpha"]);
    const bad = await api.call("GET", `/projects?workspace_id=${workspaceId}&cursor=x`, { user: users.viewer });
    expect(bad).toMatchObject({ status: 400, body: { code: "invalid-cursor" } });
  });

  it("changes name and slug, the given ones only, and refuses a slug that is taken", async () => {
    const { id, slug } = (await create(repository.fileUrl)).body;
    const change = (body: unknown, user = users.admin) => api.call("PATCH", `/projects/${id}`, { user, body });
    expect(await change({ name: "Renamed" })).toMatchObject({ status: 200, body: { name: "Renamed", slug } });
    expect(await change({ slug: "moved" })).toMatchObject({ status: 200, body: { name: "Renamed", slug: "moved" } });
    expect(await change({ slug: "moved" })).toMatchObject({ status: 200 });
    await insertProject(store, { workspaceId, connectionId, repository: "git:other" });
    const { slug: taken } = (await store.read((tx) =>
      tx.get("select slug from projects where external_repository_id = 'git:other'"),
    )) as { slug: string };
    await store.write((tx) => tx.run("update projects set slug = 'taken' where slug = ?", [taken]));
    expect(await change({ slug: "taken" })).toMatchObject({ status: 409, body: { code: "slug-conflict" } });
    expect((await change({ name: "Renamed" })).body.untrusted_secrets).toBe(false);
    expect(await change({ untrusted_secrets: true })).toMatchObject({ status: 200, body: { untrusted_secrets: true } });
    expect(await change({ slug: "moved" })).toMatchObject({ status: 200, body: { untrusted_secrets: true } });
    expect(await change({ untrusted_secrets: false }, users.viewer)).toMatchObject({ status: 403 });
    const changes = await store.read((tx) =>
      tx.all<{ details: string }>("select details from audit_events where action = 'project.updated'"),
    );
    expect(changes.map(({ details }) => JSON.parse(details).untrusted_secrets)).toContainEqual([false, true]);
    expect(await change({})).toMatchObject({ status: 400, body: { code: "validation-error" } });
    expect(await change({ name: "x" }, users.viewer)).toMatchObject({ status: 403 });
    expect(await change({ name: "x" }, users.stranger)).toMatchObject({ status: 404 });
    expect((await api.call("GET", `/projects/${id}`, { user: users.viewer })).body.slug).toBe("moved");
  });

  it("keeps an archived project out of the list and in step with nothing until it is brought back", async () => {
    const { id } = (await create(repository.fileUrl)).body;
    expect((await sync(id)).body.status).toBe("succeeded");
    const act = (verb: string, user = users.admin) => api.call("POST", `/projects/${id}/${verb}`, { user });
    const listed = async (query: string) =>
      (await api.call("GET", `/projects?workspace_id=${workspaceId}${query}`, { user: users.viewer })).body.projects
        .length;

    expect(await act("archive", users.viewer)).toMatchObject({ status: 403 });
    const archived = await act("archive");
    expect(archived).toMatchObject({ status: 200, body: { archived_at: expect.any(String) } });
    expect((await act("archive")).body).toEqual(archived.body);
    expect([await listed(""), await listed("&archived=include"), await listed("&archived=only")]).toEqual([0, 1, 1]);

    await repository.commit({ ".shipfox/workflows/late.yml": workflow("Late") });
    expect(await sync(id)).toMatchObject({ status: 409, body: { code: "project-archived" } });
    // What asks for a sync beside the route, as a push does, changes nothing either.
    await store.write((tx) => syncs.request(tx, id, clock.now()));
    await syncs.run(id);
    expect((await definitions(id)).names).toEqual(["CI"]);

    expect(await act("unarchive")).toMatchObject({ status: 200, body: { archived_at: null } });
    expect(await act("unarchive")).toMatchObject({ status: 200, body: { archived_at: null } });
    await expect.poll(async () => (await definitions(id)).names).toEqual(["CI", "Late"]);
    expect(await listed("")).toBe(1);
    const log = await store.read((tx) =>
      tx.all<{ action: string }>("select action from audit_events where target_id = ? order by id", [id]),
    );
    expect(log.map(({ action }) => action)).toEqual([
      "project.created",
      "project.synced",
      "project.archived",
      "project.unarchived",
    ]);
  });
});
