import { newId } from "@shipfox/shared/ids";
import { beforeEach, expect, it } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { TEST_ROOT_KEY, testClock } from "../../testing/api.ts";
import { insertProject, insertWorkspace } from "../../testing/rows.ts";
import { Envelope } from "../secrets/public.ts";
import type { CheckoutTarget } from "./checkouts.ts";
import type { SourceAccess } from "./located.ts";
import { Checkouts, Sources } from "./public.ts";
import { secretContext } from "./sources.ts";

const urls = { allowFile: true, allowHttp: false, allowPrivate: false };

describeStores("the repository of a checkout", (open) => {
  let store: Store;
  let workspaceId: string;
  let projectId: string;
  let checkouts: Checkouts;
  const envelope = new Envelope(TEST_ROOT_KEY);

  beforeEach(async () => {
    store = await open();
    checkouts = new Checkouts({ store, clock: testClock(), sources: new Sources({ envelope, urls, github: null }) });
    workspaceId = await insertWorkspace(store, {});
    const forge = await connection("forge", { base: "https://git.example.com/acme" });
    projectId = await project(workspaceId, forge, "git:https://git.example.com/acme/app.git");
  });

  async function connection(
    slug: string,
    {
      base = null,
      workspace = workspaceId,
      status = "active",
    }: { base?: string | null; workspace?: string; status?: string },
  ): Promise<string> {
    const id = newId();
    const secrets = base === null ? null : JSON.stringify({ token: `token of ${slug}`, sshKey: null });
    const sealed = secrets && envelope.seal(secrets, secretContext({ id, workspace_id: workspace }));
    await store.write((tx) =>
      tx.run(
        `insert into connections (id, workspace_id, provider, external_account_id, slug, display_name, lifecycle_status,
          settings, sealed_credential, created_at, updated_at) values (?, ?, 'git', 'x', ?, ?, ?, ?, ?, 1, 1)`,
        [id, workspace, slug, `The <${slug}>`, status, JSON.stringify({ baseUrl: base, username: null }), sealed],
      ),
    );
    return id;
  }

  const project = (workspace: string, connectionId: string, repository: string) =>
    insertProject(store, { workspaceId: workspace, connectionId, repository });
  const checkout = (target: CheckoutTarget, how: Partial<SourceAccess> & { untrusted?: boolean } = {}) => {
    const { contents = "read", untrusted = false } = how;
    return checkouts.checkout({ workspaceId, projectId, target, access: { contents }, untrusted });
  };

  it("is the project's own, or one that its connection reaches by name", async () => {
    const app = { repository_url: "https://git.example.com/acme/app.git", ref: "main", isOwn: true };
    expect(await checkout({})).toMatchObject(app);
    expect(await checkout({ repository: "app" })).toMatchObject(app);
    expect(await checkout({ project: projectId })).toMatchObject(app);
    for (const repository of [
      "lib",
      "/lib.git",
      "https://git.example.com/acme/lib.git",
      "git:https://git.example.com/acme/lib.git",
    ])
      expect(await checkout({ repository })).toMatchObject({
        repository_url: "https://git.example.com/acme/lib.git",
        ref: "HEAD",
        isOwn: false,
        auth: { token: "token of forge", host: "git.example.com" },
      });
  });

  it("may be that of another project or connection of the workspace, and of no other workspace", async () => {
    const other = await connection("other", { base: "https://other.example/" });
    const lib = await project(workspaceId, other, "git:https://other.example/lib.git");
    const expected = { repository_url: "https://other.example/lib.git", ref: "main", isOwn: false };
    const [row] = await store.read((tx) => tx.all<{ slug: string }>("select slug from projects where id = ?", [lib]));
    expect(await checkout({ project: lib })).toMatchObject(expected);
    expect(await checkout({ project: row?.slug })).toMatchObject(expected);
    const named = await checkout({ connection: "other", repository: "lib" });
    expect(named).toMatchObject({ ...expected, auth: { token: "token of other" } });

    const elsewhere = await insertWorkspace(store, {});
    const theirs = await connection("theirs", { base: "https://theirs.example", workspace: elsewhere });
    const secret = await project(elsewhere, theirs, "git:https://theirs.example/secret.git");
    await expect(checkout({ project: secret })).rejects.toMatchObject({ code: "project-not-found" });
    await expect(checkout({ connection: "theirs", repository: "secret" })).rejects.toMatchObject({
      code: "integration-connection-not-found",
    });
  });

  it("is refused in words where it cannot be had", async () => {
    await connection("bare", {});
    await connection("off", { base: "https://off.example", status: "disabled" });
    await store.write((tx) =>
      tx.run(
        `insert into connections (id, workspace_id, provider, external_account_id, slug, display_name, lifecycle_status, settings,
          created_at, updated_at) values (?, ?, 'webhook', 'x', 'hook', 'x', 'active', '{}', 1, 1)`,
        [newId(), workspaceId],
      ),
    );
    const refused = (connectionSlug: string, repository: string) =>
      checkout({ connection: connectionSlug, repository }).catch(({ code, message }) => ({ code, message }));
    expect(await refused("bare", "acme/lib")).toMatchObject({
      code: "invalid-repository-url",
      message: expect.stringContaining("give the clone URL"),
    });
    expect(await refused("forge", "https://git.example.com/theirs/lib.git")).toMatchObject({
      code: "invalid-repository-url",
    });
    expect(await refused("forge", "../theirs/lib")).toMatchObject({ code: "invalid-repository-url" });
    expect(await refused("forge", "")).toMatchObject({ code: "invalid-repository-url" });
    expect(await refused("off", "lib")).toMatchObject({
      code: "source-connection-inactive",
      message: expect.stringContaining("the connection off is disabled"),
    });
    expect(await refused("hook", "lib")).toMatchObject({ code: "integration-capability-unavailable" });
  });

  it("comes with an author for what a credential may write", async () => {
    expect((await checkout({}, { contents: "write" })).git_author).toEqual({
      name: "The  forge",
      email: "noreply@git.example.com",
    });
    expect((await checkout({})).git_author).toBeUndefined();
    await connection("bare", {});
    const open = await checkout({ connection: "bare", repository: "https://git.example.com/x" }, { contents: "write" });
    expect([open.auth, open.git_author]).toEqual([undefined, undefined]);
  });

  it("is for an untrusted run that of its project alone, and to be read", async () => {
    const untrusted = { contents: "write", untrusted: true } as const;
    const own = await checkout({}, untrusted);
    expect(own.git_author).toBeUndefined();
    expect(own.isOwn).toBe(true);
    for (const target of [
      { repository: "lib" },
      { connection: "forge", repository: "https://git.example.com/acme/lib" },
    ])
      await expect(checkout(target, untrusted)).rejects.toMatchObject({ code: "checkout-repository-not-authorized" });
    expect(await checkout({ connection: "forge", repository: "app" }, untrusted)).toMatchObject({ isOwn: true });
  });
});
