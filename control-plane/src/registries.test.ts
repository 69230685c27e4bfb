import type { Role } from "@shipfox/shared/api/workspaces";
import { newId } from "@shipfox/shared/ids";
import { expect, it, onTestFinished } from "vitest";
import type { Store } from "./store/store.ts";
import { describeStores } from "./store/testing.ts";
import { serveApi, TEST_ROOT_KEY, testClock, testTokens } from "./testing/api.ts";
import { insertConnection, insertMember, insertProject, insertUser, insertWorkspace } from "./testing/rows.ts";
import { projects } from "./modules/projects/public.ts";
import { TestPlane, workflow } from "./modules/runners/test-plane.ts";
import { Envelope } from "./modules/secrets/public.ts";
import { access } from "./modules/workspaces/public.ts";
import { createRegistryRoutes } from "./modules/registries/public.ts";

const PASSWORD = "dckr_pat_very-secret";
const LEASE_SECONDS = 60;
const JOB = `  build:
    runner: linux
    image: registry.example/team/app:1
    steps: [{ run: 'true' }]
`;

async function serve(store: Store) {
  const envelope = new Envelope(TEST_ROOT_KEY);
  const api = await serveApi(createRegistryRoutes({ store, clock: testClock(), access, envelope, projects }));
  onTestFinished(() => api.close());
  return api;
}

describeStores("registry credentials", (open) => {
  async function workspace() {
    const store = await open();
    const members = { admin: await insertUser(store), viewer: await insertUser(store) };
    const workspaceId = await insertWorkspace(store, { [members.admin]: "admin", [members.viewer]: "viewer" });
    const api = await serve(store);
    const path = `/workspaces/${workspaceId}/registry-credentials`;
    const add = (fields: Record<string, unknown> = {}, user = members.admin) =>
      api.call("POST", path, {
        user,
        body: { host: "registry.example", username: "bot", password: PASSWORD, ...fields },
      });
    return { store, api, path, add, members, workspaceId };
  }

  it("keeps passwords sealed and shows them to nobody", async () => {
    const { store, api, path, add, members, workspaceId } = await workspace();
    const added = await add({ host: "Index.Docker.io" });
    expect(added).toMatchObject({
      status: 201,
      body: { workspace_id: workspaceId, host: "docker.io", username: "bot", project_ids: null },
    });
    const rows = await store.read((tx) => tx.all("select * from registry_credentials"));
    expect(JSON.stringify([rows, added.body])).not.toContain(PASSWORD);
    const list = await api.call("GET", path, { user: members.viewer });
    expect(list).toMatchObject({ status: 200, body: { registry_credentials: [added.body] } });
  });

  it("replaces the one for the same host and the same projects, and no other", async () => {
    const { api, path, add, members, workspaceId, store } = await workspace();
    const connectionId = await insertConnection(store, workspaceId);
    const project = (repository: string) => insertProject(store, { workspaceId, connectionId, repository });
    const [one, two] = [await project("git:one"), await project("git:two")];
    const elsewhere = await add({ host: "other.example" });
    await add();
    const forAll = await add({ username: "newer", password: "renewed" });
    await add({ project_ids: [one, two] });
    const forBoth = await add({ project_ids: [two, one] });
    const forOne = await add({ project_ids: [one] });
    const list = await api.call("GET", path, { user: members.viewer });
    expect(list.body.registry_credentials).toEqual([elsewhere.body, forAll.body, forBoth.body, forOne.body]);
  });

  it("is changed by those who manage the workspace, and by nobody else", async () => {
    const { store, api, path, add, members } = await workspace();
    const one = await add();
    const stranger = await insertUser(store);
    for (const user of [members.viewer, stranger]) {
      expect(await add({}, user)).toMatchObject({ status: 403, body: { code: "forbidden" } });
      expect(await api.call("DELETE", `${path}/${one.body.id}`, { user })).toMatchObject({ status: 403 });
    }
    expect(await api.call("GET", path, { user: stranger })).toMatchObject({ status: 403 });
    expect(await api.call("DELETE", `${path}/${one.body.id}`, { user: members.admin })).toMatchObject({ status: 204 });
    expect(await api.call("DELETE", `${path}/${one.body.id}`, { user: members.admin })).toMatchObject({ status: 404 });
  });

  it.each([
    [{ host: "https://registry.example" }, "validation-error"],
    [{ host: "registry.example/team" }, "validation-error"],
    [{ username: "a:b" }, "validation-error"],
    [{ password: "" }, "validation-error"],
    [{ project_ids: [] }, "validation-error"],
    [{ project_ids: [newId()] }, "project-not-found"],
    [{ token: "x" }, "validation-error"],
  ])("refuses %j", async (fields, code) => {
    const { add } = await workspace();
    expect((await add(fields)).body).toMatchObject({ code });
  });
});

describeStores("a job's registry credential", (open) => {
  async function leased(role: Role = "admin") {
    const store = await open();
    const plane = await TestPlane.start(store);
    const api = await serve(store);
    const user = await insertMember(store, plane.workspaceId, role);
    const { sessionId } = await plane.register(["linux"], { image: true });
    const start = async (projectId = plane.projectId) => {
      await plane.fire(workflow(JOB), projectId);
      const claimed = await plane.claim(sessionId);
      if (!claimed) throw new Error("nothing to claim");
      const token = testTokens.signLease(await plane.principal(claimed.fence), LEASE_SECONDS);
      const ask = (image: string) =>
        api.call("GET", `/runs/jobs/current/registry-credentials?image=${encodeURIComponent(image)}`, {
          headers: { authorization: `Bearer ${token}` },
        });
      return { claimed, ask };
    };
    const add = (fields: Record<string, unknown>) =>
      api.call("POST", `/workspaces/${plane.workspaceId}/registry-credentials`, {
        user,
        body: { host: "registry.example", username: "bot", password: PASSWORD, ...fields },
      });
    return { plane, start, add };
  }

  it("is given for the images of the leased job only", async () => {
    const { start, add } = await leased();
    const { ask } = await start();
    expect((await ask("registry.example/team/app:1")).body).toEqual({ credential: null });
    await add({});
    await add({ host: "other.example", password: "another" });
    const reply = await ask("registry.example/team/app:1");
    expect(reply).toMatchObject({ status: 200, body: { credential: { username: "bot", password: PASSWORD } } });
    expect(reply.headers.get("cache-control")).toBe("no-store");
    for (const image of ["registry.example/team/app:2", "other.example/team/app:1", "node"]) {
      expect(await ask(image)).toMatchObject({ status: 404, body: { code: "not-found" } });
    }
  });

  it("may be kept for some projects, and those get their own before the common one", async () => {
    const { plane, start, add } = await leased();
    const other = await plane.addProject();
    await add({ username: "only-other", project_ids: [other] });
    const mine = await start();
    const theirs = await start(other);
    expect((await mine.ask("registry.example/team/app:1")).body).toEqual({ credential: null });
    await add({ username: "common" });
    expect((await mine.ask("registry.example/team/app:1")).body.credential.username).toBe("common");
    expect((await theirs.ask("registry.example/team/app:1")).body.credential.username).toBe("only-other");
  });

  it("is no more given when the job has ended", async () => {
    const { plane, start, add } = await leased();
    await add({});
    const { claimed, ask } = await start();
    await plane.finish(claimed.executionId);
    expect(await ask("registry.example/team/app:1")).toMatchObject({
      status: 404,
      body: { code: "lease-not-active" },
    });
  });
});
