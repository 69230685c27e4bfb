import { newId } from "@shipfox/shared/ids";
import { afterEach, beforeEach, expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import type { Store } from "../../store/store.ts";
import { type Api, serveApi } from "../../testing/api.ts";
import { insertUser, workspaceDeps } from "../../testing/rows.ts";
import { access, createWorkspaceRoutes } from "./public.ts";

describeStores("workspaces", (open) => {
  let store: Store;
  let api: Api;
  let ada: string;

  beforeEach(async () => {
    store = await open();
    api = await serveApi(createWorkspaceRoutes(workspaceDeps(store)));
    ada = await insertUser(store);
  });
  afterEach(() => api.close());

  const create = (body: unknown, user = ada) => api.call("POST", "/workspaces", { user, body });

  it("makes its creator the owner, at once and for nobody else", async () => {
    const { status, body } = await create({ name: "Acme Inc." });
    expect(status).toBe(201);
    expect(body).toMatchObject({ name: "Acme Inc.", slug: "acme-inc", status: "active", settings: {} });
    expect(await store.read((tx) => access.role(tx, ada, body.id))).toBe("owner");
    expect(await store.read((tx) => access.role(tx, newId(), body.id))).toBeNull();
    await store.write((tx) => tx.run("update workspaces set status = 'deleted'"));
    const gone = store.read((tx) => access.role(tx, ada, body.id));
    await expect(gone).rejects.toMatchObject({ code: "workspace-inactive" });
  });

  it("numbers derived slugs and refuses a given one that is taken", async () => {
    const replies = await Promise.all([1, 2, 3].map(() => create({ name: "Acme" })));
    const slugs: string[] = replies.map((reply) => reply.body.slug);
    expect(slugs.sort()).toEqual(["acme", "acme-2", "acme-3"]);
    expect(await create({ name: "Other", slug: "acme" })).toMatchObject({
      status: 409,
      body: { code: "slug-conflict" },
    });
    expect(await create({ name: "Other", slug: "Not A Slug" })).toMatchObject({ status: 400 });
  });

  it("lists one's own memberships by name", async () => {
    for (const name of ["Zeta", "Alpha"]) await create({ name });
    await create({ name: "Foreign" }, await insertUser(store));
    const { body } = await api.call("GET", "/workspaces", { user: ada });
    expect(body.memberships.map((membership: { workspace_name: string }) => membership.workspace_name)).toEqual([
      "Alpha",
      "Zeta",
    ]);
    expect(body.memberships[0]).toMatchObject({
      user_id: ada,
      role: "owner",
      workspace_slug: "alpha",
      workspace_status: "active",
    });
  });

  it("needs a signed-in user", async () => {
    expect((await api.call("GET", "/workspaces")).status).toBe(401);
  });
});
