import type { FakeRepository } from "@shipfox/shared/github-server.fixture";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Store } from "../../../store/store.ts";
import { describeStores } from "../../../store/testing.ts";
import type { SourceAccess } from "../located.ts";
import { openWorld, type World } from "./github-world.fixture.ts";

const READ = { contents: "read" } as const;

describeStores("repositories on GitHub", (open) => {
  let store: Store;
  let world: World;

  beforeEach(async () => {
    store = await open();
    world = await openWorld(store);
  });
  afterEach(() => world.close());

  const bare = (id: number): FakeRepository => {
    return { id, owner: "acme", name: `repository-${id}`, private: id % 2 === 0, defaultBranch: "main" };
  };
  const list = (connectionId: string, query = "") =>
    world.api.call("GET", `/integration-connections/${connectionId}/repositories${query}`, {
      user: world.users.maintainer,
    });
  const of = (projectId: string, access: SourceAccess) => ({ workspaceId: world.workspaceId, projectId, access });
  const minted = () => world.github.requests.filter((call) => call.endsWith("access_tokens")).length;

  it("are listed page by page in GitHub's order, and found by part of their name", async () => {
    const all = Array.from({ length: 230 }, (_, index) => bare(index + 1));
    const connectionId = await world.link(world.github.install("acme", all).id);
    const names: string[] = [];
    let pages = 0;
    for (let cursor: string | null = ""; cursor !== null; pages += 1) {
      const page = await list(connectionId, `?limit=60${cursor === "" ? "" : `&cursor=${cursor}`}`);
      expect(page.status).toBe(200);
      names.push(...page.body.repositories.map((repository: { name: string }) => repository.name));
      cursor = page.body.next_cursor;
    }
    expect(pages).toBe(4);
    expect(names).toEqual(all.map(({ name }) => name));
    const found = await list(connectionId, "?search=TORY-22");
    expect(found.body).toMatchObject({ next_cursor: null });
    expect(found.body.repositories).toHaveLength(11);
    expect(found.body.repositories[0]).toEqual({
      connection_id: connectionId,
      external_repository_id: "github:22",
      owner: "acme",
      name: "repository-22",
      full_name: "acme/repository-22",
      default_branch: "main",
      visibility: "private",
      clone_url: `${world.github.url}/acme/repository-22.git`,
      html_url: `${world.github.url}/acme/repository-22`,
    });
    expect((await list(connectionId, "?cursor=WzFd&limit=1")).body.repositories[0].name).toBe("repository-2");
    expect((await list(connectionId, "?cursor=Wy0xXQ")).body.code).toBe("invalid-cursor");
  });

  it("are handed to a runner with a token for that one repository, which is used again until shortly before its end", async () => {
    const { github, checkouts, clock } = world;
    const app = await world.repository("acme", "app", 7);
    const connectionId = await world.link(github.install("acme", [app, await world.repository("acme", "other", 8)]).id);
    const projectId = await world.project(connectionId, 7);
    const before = minted();
    const [first, second] = await Promise.all([
      checkouts.checkout(of(projectId, READ)),
      checkouts.checkout(of(projectId, READ)),
    ]);
    expect(first).toEqual({
      isOwn: true,
      repository_url: `${github.url}/acme/app.git`,
      ref: "main",
      fetch_depth: 1,
      auth: {
        kind: "basic",
        username: "x-access-token",
        token: expect.stringMatching(/^ghs_/),
        carry: "header",
        host: new URL(github.url).host,
        persist: false,
        expires_at: expect.any(String),
      },
    });
    expect(second).toEqual(first);
    expect(minted() - before).toBe(1);
    const clone = (repository: string, token = first.auth?.token) =>
      fetch(`${github.url}/acme/${repository}.git/info/refs?service=git-upload-pack`, {
        headers: { authorization: `Basic ${Buffer.from(`x-access-token:${token}`).toString("base64")}` },
      }).then(({ status }) => status);
    expect(await clone("app")).toBe(200);
    expect(await clone("other")).toBe(404);
    expect(await clone("app", "ghs_made-up")).toBe(401);

    const toWrite = await checkouts.checkout(of(projectId, { contents: "write" }));
    expect(toWrite.auth?.token).not.toBe(first.auth?.token);
    expect(toWrite.git_author).toEqual({
      name: "shipfox-test[bot]",
      email: "shipfox-test[bot]@users.noreply.127.0.0.1",
    });
    clock.advance(49 * 60_000);
    expect((await checkouts.checkout(of(projectId, READ))).auth?.token).toBe(first.auth?.token);
    clock.advance(2 * 60_000);
    expect((await checkouts.checkout(of(projectId, READ))).auth?.token).not.toBe(first.auth?.token);
  });

  it("are found by their names for a checkout, among those of the installation alone", async () => {
    const { github, checkouts, workspaceId } = world;
    const names = [await world.repository("acme", "app", 7), await world.repository("acme", "lib", 8)];
    const connectionId = await world.link(github.install("acme", names).id);
    github.install("elsewhere", [await world.repository("elsewhere", "secret", 9)]);
    const projectId = await world.project(connectionId, 7);
    const named = (repository: string, untrusted = false) =>
      checkouts.checkout({ workspaceId, projectId, target: { repository }, access: READ, untrusted });
    for (const repository of ["acme/lib", "github:8"])
      expect(await named(repository)).toMatchObject({
        repository_url: `${github.url}/acme/lib.git`,
        ref: "HEAD",
        isOwn: false,
      });
    expect(await named("acme/app", true)).toMatchObject({ ref: "main", isOwn: true });
    await expect(named("acme/lib", true)).rejects.toMatchObject({ code: "checkout-repository-not-authorized" });
    for (const unknown of ["elsewhere/secret", "acme/none", "github:9"])
      await expect(named(unknown)).rejects.toMatchObject({ code: "repository-not-found" });
    for (const wrong of ["lib", "acme/lib/..", "../lib", "acme/..", "acme/lib?x=1", "https://github.com/acme/lib", ""])
      await expect(named(wrong)).rejects.toMatchObject({ code: "invalid-repository-url" });
  });

  it("are the same ones after they were renamed or moved", async () => {
    const app = await world.repository("acme", "app", 7);
    const installation = world.github.install("acme", [app]);
    const projectId = await world.project(await world.link(installation.id), 7);
    app.name = "application";
    expect((await world.checkouts.checkout(of(projectId, READ))).repository_url).toBe(
      `${world.github.url}/acme/application.git`,
    );
  });

  it("are out of reach, in words, when GitHub or the workspace says so", async () => {
    const { github, checkouts } = world;
    const app = await world.repository("acme", "app", 7);
    const installation = github.install("acme", [app], { contents: "read" });
    const connectionId = await world.link(installation.id);
    const projectId = await world.project(connectionId, 7);
    await expect(checkouts.checkout(of(projectId, { contents: "write" }))).rejects.toMatchObject({
      code: "access-denied",
      message: expect.stringContaining("permission"),
    });
    const gone = await world.project(connectionId, 99);
    await expect(checkouts.checkout(of(gone, READ))).rejects.toMatchObject({ code: "repository-not-found" });
    installation.suspendedAt = new Date().toISOString();
    await expect(checkouts.checkout(of(projectId, READ))).rejects.toMatchObject({ code: "access-denied" });
    github.installations.delete(installation.id);
    await expect(checkouts.checkout(of(projectId, READ))).rejects.toMatchObject({ code: "installation-not-found" });
    github.faults.push({ path: /access_tokens/, status: 429, headers: { "retry-after": "60" } });
    await expect(checkouts.checkout(of(projectId, READ))).rejects.toMatchObject({
      code: "rate-limited",
      details: { retry_after_seconds: 60 },
    });
    const path = `/integration-connections/${connectionId}`;
    await world.api.call("PATCH", path, { user: world.users.admin, body: { lifecycle_status: "disabled" } });
    const calls = github.requests.length;
    await expect(checkouts.checkout(of(projectId, READ))).rejects.toMatchObject({ code: "source-connection-inactive" });
    expect((await list(connectionId)).body.code).toBe("integration-connection-inactive");
    expect(github.requests.length).toBe(calls);
  });

  it.each(["git:https://github.com/acme/app", "github:", "github:-1", "github:7/../8", "github:1e3", "github:07"])(
    "are named by their number only, not %s",
    async (externalId) => {
      const connectionId = await world.link(world.github.install("acme", [bare(7)]).id);
      const located = store.read((tx) =>
        world.sources.ofConnection(tx, { workspaceId: world.workspaceId, connectionId, externalId }),
      );
      await expect(located).rejects.toMatchObject({ code: "invalid-repository-url" });
    },
  );
});
