import { afterEach, beforeEach, expect, it } from "vitest";
import type { ConnectionRow, TriggerEventRow } from "../../../store/schema.ts";
import type { Store } from "../../../store/store.ts";
import { describeStores } from "../../../store/testing.ts";
import { openWorld, type World } from "./github-world.fixture.ts";

const LIMIT_BYTES = 512 * 1024;

describeStores("what GitHub tells", (open) => {
  let store: Store;
  let world: World;
  let connectionId: string;
  let installation: { id: number };
  let push: Record<string, unknown>;

  beforeEach(async () => {
    store = await open();
    world = await openWorld(store);
    const app = await world.repository("acme", "app", 7);
    installation = world.github.install("acme", [app]);
    connectionId = await world.link(installation.id);
    push = {
      ref: "refs/heads/main",
      repository: { id: 7, default_branch: "main" },
      installation: { id: installation.id },
    };
  });
  afterEach(() => world.close());

  const events = () => store.read((tx) => tx.all<TriggerEventRow>("select * from trigger_events order by id"));
  const connection = async () =>
    (await store.read((tx) => tx.all<ConnectionRow>("select * from connections")))[0] as ConnectionRow;
  const deliver = async (event: string, body: Record<string, unknown>, id?: string) =>
    world.github.deliver(world.api.url, event, { installation: { id: installation.id }, ...body }, id);
  const post = async (text: string, headers: Record<string, string>) => {
    const response = await fetch(`${world.api.url}/webhooks/integrations/github`, {
      method: "POST",
      headers,
      body: text,
    });
    return { status: response.status, body: await response.text() };
  };

  it("is stored as an event before it is acknowledged, as it was sent", async () => {
    expect(await deliver("pull_request", { action: "opened", title: "<b>'\u0000\"</b>" }, "delivery-1")).toBe(204);
    expect(await events()).toMatchObject([
      {
        provider: "github",
        source: "github_acme",
        event: "pull_request.opened",
        delivery_id: "delivery-1",
        connection_id: connectionId,
        outcome: "received",
        untrusted: 1,
      },
    ]);
    expect(JSON.parse((await events())[0]?.payload ?? "")).toEqual({
      installation: { id: installation.id },
      action: "opened",
      title: "<b>'\u0000\"</b>",
    });
    expect(await deliver("push", push)).toBe(204);
    expect((await events())[1]).toMatchObject({ event: "push", untrusted: 0 });
  });

  it("counts once, however often and at once it comes", async () => {
    const statuses = await Promise.all(Array.from({ length: 10 }, () => deliver("push", push, "same")));
    expect(new Set(statuses)).toEqual(new Set([204]));
    expect(await deliver("push", { ...push, ref: "refs/heads/other" }, "same")).toBe(204);
    expect(await events()).toHaveLength(1);
  });

  it("is refused in GitHub's own form when it is forged or incomplete, and changes nothing", async () => {
    const text = JSON.stringify(push);
    const good = world.github.headersOf("push", text);
    const without = (name: string) => Object.fromEntries(Object.entries(good).filter(([header]) => header !== name));
    const signature = good["x-hub-signature-256"] as string;
    const deep = `{"x":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
    const cases: [number, string, Record<string, string>][] = [
      [400, text, without("x-github-delivery")],
      [401, text, without("x-hub-signature-256")],
      [400, text, without("x-github-event")],
      [401, text, { ...good, "x-hub-signature-256": signature.replace("sha256=", "sha1=") }],
      [401, text, { ...good, "x-hub-signature-256": signature.slice(0, -2) }],
      [401, text, { ...good, "x-hub-signature-256": `sha256=${"0".repeat(64)}` }],
      [401, text, { ...good, "x-hub-signature-256": `${signature}00` }],
      [401, `${text} `, good],
      [401, JSON.stringify(push, null, 1), good],
      [400, "[]", world.github.headersOf("push", "[]")],
      [400, "{", world.github.headersOf("push", "{")],
      [400, deep, world.github.headersOf("push", deep)],
      [400, text, { ...good, "x-github-event": "../push" }],
      [400, text, { ...good, "x-github-delivery": "x".repeat(201) }],
    ];
    for (const [status, body, headers] of cases) {
      const answer = await post(body, headers);
      expect([status, JSON.parse(answer.body)]).toEqual([answer.status, { error: expect.any(String) }]);
      expect(answer.body).not.toContain(signature);
    }
    expect(await post(text, { ...good, "content-type": "text/plain" })).toMatchObject({ status: 415 });
    expect(await events()).toEqual([]);
  });

  it("is refused when it is over 512 KiB, however well signed", async () => {
    const text = JSON.stringify({ ...push, filler: "x".repeat(LIMIT_BYTES) });
    expect(await post(text, world.github.headersOf("push", text))).toMatchObject({
      status: 413,
      body: expect.stringContaining("body-too-large"),
    });
    const filler = "x".repeat(LIMIT_BYTES - JSON.stringify({ ...push, filler: "" }).length);
    const longest = JSON.stringify({ ...push, filler });
    expect(Buffer.byteLength(longest)).toBe(LIMIT_BYTES);
    expect((await post(longest, world.github.headersOf("push", longest))).status).toBe(204);
    expect(await events()).toHaveLength(1);
  });

  it("is dropped when it is nobody's: a ping, an unknown installation, a disabled or a removed connection", async () => {
    expect(await deliver("ping", { installation: undefined, zen: "Keep it logically awesome." })).toBe(204);
    expect(await deliver("push", { ...push, installation: { id: 424_242 } })).toBe(204);
    const { admin: user } = world.users;
    const path = `/integration-connections/${connectionId}`;
    await world.api.call("PATCH", path, { user, body: { lifecycle_status: "disabled" } });
    expect(await deliver("push", push)).toBe(204);
    expect(await deliver("installation", { action: "unsuspend" })).toBe(204);
    expect((await connection()).lifecycle_status).toBe("disabled");
    await world.api.call("DELETE", path, { user });
    expect(await deliver("push", push)).toBe(204);
    expect(await events()).toEqual([]);
  });

  it("ends and brings back the connection with its installation, and follows the account's name", async () => {
    expect(await deliver("installation", { action: "suspend" })).toBe(204);
    expect((await connection()).lifecycle_status).toBe("error");
    expect(await deliver("push", push)).toBe(204);
    const projectId = await world.project(connectionId, 7);
    expect(await deliver("installation", { action: "unsuspend" })).toBe(204);
    expect((await connection()).lifecycle_status).toBe("active");
    const synced = await store.read((tx) => tx.all("select project_id from definition_syncs"));
    expect(synced).toEqual([{ project_id: projectId }]);
    const renamed = { action: "renamed", account: { login: "acme-inc" }, changes: { login: { from: "acme" } } };
    expect(await deliver("installation_target", renamed)).toBe(204);
    expect(await connection()).toMatchObject({
      display_name: "GitHub acme-inc",
      slug: "github_acme",
      settings: expect.stringContaining("/acme-inc"),
    });
    expect(await deliver("installation", { action: "deleted" })).toBe(204);
    expect((await connection()).lifecycle_status).toBe("error");
    expect((await events()).map(({ event }) => event)).toEqual([
      "installation.suspend",
      "installation_target.renamed",
      "installation.deleted",
    ]);
  });

  it("syncs the project of a repository that was pushed to, on its default branch, or that changed", async () => {
    const projectId = await world.project(connectionId, 7);
    const syncs = async () =>
      (await store.read((tx) => tx.all<{ status: string; requested_at: number }>("select * from definition_syncs")))[0];
    expect(await deliver("push", { ...push, ref: "refs/heads/feature" })).toBe(204);
    expect(await deliver("push", { ...push, deleted: true })).toBe(204);
    expect(await deliver("push", { ref: 1 })).toBe(204);
    expect(await deliver("push", { ...push, repository: { id: 8, default_branch: "main" } })).toBe(204);
    expect(await syncs()).toBeUndefined();
    expect(await deliver("push", push)).toBe(204);
    await expect.poll(async () => (await syncs())?.status).toBe("succeeded");
    for (const [event, body] of [
      ["repository", { action: "renamed", repository: { id: 7 } }],
      ["installation_repositories", { action: "removed", repositories_removed: [{ id: 7 }] }],
    ] as const) {
      const before = await syncs();
      world.clock.advance(1_000);
      expect(await deliver(event, body)).toBe(204);
      expect((await syncs())?.requested_at).toBeGreaterThan(before?.requested_at ?? 0);
    }
    await world.syncs.run(projectId);
  });

  it("waits with a push to the default branch until the workflows that came with it were read", async () => {
    await world.project(connectionId, 7);
    const waitsUntil = async (event: string) => (await events()).findLast((row) => row.event === event)?.due_at ?? null;
    await deliver("push", push);
    expect(await waitsUntil("push")).toBeGreaterThan(world.clock.now());
    await expect.poll(() => waitsUntil("push")).toBe(world.clock.now());
    await deliver("push", { ...push, ref: "refs/heads/feature" });
    expect(await waitsUntil("push")).toBe(world.clock.now());
    await deliver("push", { ...push, repository: { id: 8, full_name: "acme/other", default_branch: "main" } });
    expect(await waitsUntil("push")).toBe(world.clock.now());
  });

  it("says which repository, commit and person it is about", async () => {
    const repository = { id: 7, full_name: "acme/app", default_branch: "main" };
    const sender = { login: "ada" };
    const updated_at = "2026-05-04T10:00:00Z";
    const pull_request = { number: 7, head: { sha: "b".repeat(40) }, updated_at };
    await deliver("push", { ...push, repository, sender, after: "a".repeat(40) });
    await deliver("push", { ...push, repository, sender, after: "0".repeat(40), deleted: true });
    await deliver("pull_request", { action: "opened", repository, sender, pull_request });
    await deliver("pull_request", { action: "opened", repository, pull_request: { number: "7" } });
    await deliver("installation", { action: "new_permissions_accepted" });
    const about = (await events()).map((row) => [
      row.reference === null ? null : JSON.parse(row.reference),
      row.subject,
    ]);
    const named = { repository: "acme/app", actor: "ada" };
    expect(about).toEqual([
      [{ ...named, ref: "refs/heads/main", commit: "a".repeat(40) }, null],
      [{ ...named, ref: "refs/heads/main", commit: null }, null],
      [{ ...named, ref: "refs/pull/7/head", commit: "b".repeat(40) }, "github:7 pull 7"],
      [{ ...named, actor: null, ref: null, commit: null }, null],
      [null, null],
    ]);
    expect((await events())[2]).toMatchObject({
      repository_id: "github:7",
      head_commit: "b".repeat(40),
      subject_at: Date.parse(updated_at),
    });
  });
});
