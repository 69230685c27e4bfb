import type { Role } from "@shipfox/shared/api/workspaces";
import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import { newWebhookSecret, signWebhook } from "../../../http/webhook-signature.ts";
import type { Store } from "../../../store/store.ts";
import { describeStores } from "../../../store/testing.ts";
import { type Api, serveApi, TEST_ROOT_KEY, testClock } from "../../../testing/api.ts";
import { insertUser, insertWorkspace, memberAccess } from "../../../testing/rows.ts";
import { Envelope } from "../../secrets/public.ts";
import { createTriggerRoutes, storeTriggerEvent } from "../../triggers/public.ts";
import { createWebhookRoutes } from "../public.ts";

const NOWHERE = "0b1f0e2c-6a5e-4c3b-9c0a-3f6d2f1f7b11";
const DAY_MS = 24 * 3_600_000;
const CALLS_PER_MINUTE = 60;
const secret = newWebhookSecret(randomBytes(32));

describeStores("custom webhooks", (open) => {
  let store: Store;
  let api: Api;
  let workspaceId: string;
  const clock = testClock();
  const envelope = new Envelope(TEST_ROOT_KEY);
  const members = {} as Record<Role, string>;

  beforeEach(async () => {
    store = await open();
    const deps = { store, clock, access: memberAccess, envelope };
    const publicUrl = "https://ci.example.com";
    api = await serveApi([
      ...createWebhookRoutes({
        ...deps,
        storeDelivery: storeTriggerEvent,
        publicUrl,
        callsPerMinute: CALLS_PER_MINUTE,
      }),
      ...createTriggerRoutes({ store, clock, access: memberAccess, wake: () => {} }),
    ]);
    for (const role of ["owner", "admin", "maintainer", "viewer"] as const) members[role] = await insertUser(store);
    workspaceId = await insertWorkspace(
      store,
      Object.fromEntries(Object.entries(members).map(([role, id]) => [id, role as Role])),
    );
  });
  afterEach(() => api.close());

  const all = "/integrations/webhook/connections";
  const create = (fields: Record<string, unknown> = {}, user = members.admin) =>
    api.call("POST", all, { user, body: { workspace_id: workspaceId, name: "Alerts", slug: "alerts", ...fields } });
  const change = (id: string, body: Record<string, unknown>) =>
    api.call("PATCH", `${all}/${id}`, { user: members.admin, body });
  const send = async (
    id: string,
    body: string | Buffer = '{"a":1}',
    headers: Record<string, string> = {},
    query = "",
  ) => {
    const response = await fetch(`${api.url}/webhook/${id}${query}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: body as string,
    });
    return { status: response.status, headers: response.headers, body: JSON.parse(await response.text()) };
  };
  const events = async () =>
    (await api.call("GET", `/trigger-events?workspace_id=${workspaceId}`, { user: members.viewer })).body
      .trigger_events;
  const detail = async (id: string) => (await api.call("GET", `/trigger-events/${id}`, { user: members.viewer })).body;
  const newest = async () => detail((await events())[0].id);
  const signed = (body: string, id = "one", by = secret, atMs = clock.now()) => ({
    ...signWebhook([by], { id, atMs, body }),
  });

  it("are made by those who manage the workspace, with a URL that nobody guesses", async () => {
    const made = await create();
    expect(made).toMatchObject({
      status: 201,
      body: { slug: "alerts", name: "Alerts", lifecycle_status: "active", signed: false },
    });
    expect(made.body.inbound_url).toBe(`https://ci.example.com/webhook/${made.body.id}`);
    expect(made.body.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
    expect(await create()).toMatchObject({ status: 409, body: { code: "slug-already-exists" } });
    for (const user of [members.maintainer, members.viewer, await insertUser(store)]) {
      expect(await create({ slug: "other" }, user)).toMatchObject({ status: 403 });
    }
    const list = await api.call("GET", `${all}?workspace_id=${workspaceId}`, { user: members.viewer });
    expect(list.body.connections).toEqual([made.body]);
    const stranger = await api.call("DELETE", `${all}/${made.body.id}`, { user: await insertUser(store) });
    expect(stranger).toMatchObject({ status: 404, body: { code: "not-found" } });
  });

  it.each(["github", "gitea", "sentry", "manual", "cron", "Alerts", "a--b", "-a", "", "__proto__"])(
    "refuse the slug %j",
    async (slug) => expect(await create({ slug })).toMatchObject({ status: 400, body: { code: "validation-error" } }),
  );

  it("store a call before they acknowledge it, without what its headers hold", async () => {
    const { id } = (await create()).body;
    const sent = await send(
      id,
      '{"severity":"high"}',
      { authorization: "Bearer secret", "x-delivery-id": "d1" },
      "?a=1&b=2&a=3",
    );
    expect(sent).toMatchObject({ status: 202, body: { delivery_id: "d1" } });
    const event = await newest();
    expect(event).toMatchObject({
      origin: "integration",
      provider: "webhook",
      source: "alerts",
      event: "received",
      delivery_id: "d1",
      connection_id: id,
      connection_name: "Alerts",
      untrusted: false,
      outcome: "received",
      matched_count: 0,
      processed_at: null,
      decisions: [],
      payload: {
        method: "POST",
        headers: { authorization: "[redacted]", "content-type": "application/json", "x-delivery-id": "d1" },
        query: { a: ["1", "3"], b: "2" },
        body: { severity: "high" },
      },
    });
    expect(JSON.stringify(event)).not.toContain("Bearer secret");
  });

  it("take forms and text, and nothing else", async () => {
    const { id } = (await create()).body;
    await send(id, "a=1&b=x%20y&a=2&__proto__=z", {
      "content-type": "application/x-www-form-urlencoded; charset=utf-8",
    });
    const stored = await store.read((tx) => tx.get<{ payload: string }>("select payload from trigger_events"));
    expect(JSON.parse(stored?.payload ?? "").body).toEqual(JSON.parse('{"a":["1","2"],"b":"x y","__proto__":"z"}'));
    await send(id, "plain", { "content-type": "text/plain" });
    expect((await events()).length).toBe(2);
    for (const type of ["application/xml", "multipart/form-data", "application/octet-stream"]) {
      expect(await send(id, "<a/>", { "content-type": type })).toMatchObject({
        status: 415,
        body: { code: "unsupported-media-type" },
      });
    }
    expect((await events()).length).toBe(2);
  });

  it.each([
    ["no JSON", '{"a":', {}, 400, "malformed-payload"],
    ["JSON too deep", "[".repeat(50_000) + "]".repeat(50_000), {}, 400, "malformed-payload"],
    [
      "a form of too many fields",
      "a&".repeat(10_000),
      { "content-type": "application/x-www-form-urlencoded" },
      400,
      "malformed-payload",
    ],
    ["a body over 512 KiB", JSON.stringify("x".repeat(512 * 1024)), {}, 413, "body-too-large"],
    ["a long delivery id", "{}", { "x-delivery-id": "x".repeat(201) }, 400, "delivery-id-too-long"],
    ["a huge header", "{}", { "x-huge": "x".repeat(9_000) }, 400, "invalid-webhook-request"],
  ])("refuse %s and keep nothing", async (_, body, headers, status, code) => {
    const { id } = (await create()).body;
    expect(await send(id, body, headers as Record<string, string>)).toMatchObject({ status, body: { code } });
    expect(await events()).toEqual([]);
  });

  it("refuse a huge query, and an id that is none", async () => {
    const { id } = (await create()).body;
    expect(await send(id, "{}", {}, `?q=${"x".repeat(9_000)}`)).toMatchObject({
      status: 400,
      body: { code: "invalid-webhook-request" },
    });
    expect(await send("nonsense")).toMatchObject({ status: 400, body: { code: "validation-error" } });
  });

  it("take a delivery once, however often and however many at once it comes", async () => {
    const { id } = (await create()).body;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) => send(id, `{"turn":${index}}`, { "x-delivery-id": "same" })),
    );
    expect(answers.map(({ status, body }) => [status, body.delivery_id])).toEqual(answers.map(() => [202, "same"]));
    expect(await events()).toHaveLength(1);
    expect((await send(id)).body.delivery_id).not.toBe((await send(id)).body.delivery_id);
    expect(await events()).toHaveLength(3);
  });

  it("are not there for senders while they or their workspace are disabled, after removal, and by another id", async () => {
    const { id } = (await create()).body;
    expect((await change(id, { lifecycle_status: "disabled" })).body.lifecycle_status).toBe("disabled");
    expect(await send(id)).toMatchObject({ status: 404, body: { code: "not-found" } });
    await change(id, { lifecycle_status: "active" });
    expect((await send(id)).status).toBe(202);
    await store.write((tx) => tx.run("update connections set provider = 'git'"));
    expect((await send(id)).status).toBe(404);
    await store.write((tx) => tx.run("update connections set provider = 'webhook'"));
    await store.write((tx) => tx.run("update workspaces set status = 'suspended'"));
    expect((await send(id)).status).toBe(404);
    await store.write((tx) => tx.run("update workspaces set status = 'active'"));
    expect((await api.call("DELETE", `${all}/${id}`, { user: members.owner })).status).toBe(204);
    expect((await send(id)).status).toBe(404);
    expect((await send(NOWHERE)).status).toBe(404);
    expect(await newest()).toMatchObject({ source: "alerts", connection_name: null });
  });

  it("with a secret take only what is signed, once, and only when fresh", async () => {
    const made = (await create({ secret })).body;
    expect(made.signed).toBe(true);
    expect(JSON.stringify([made, await store.read((tx) => tx.all("select * from connections"))])).not.toContain(secret);
    const { id } = made;
    const body = '{"a":1}';
    const good = signed(body);
    const forged: Record<string, string>[] = [
      {},
      { ...good, "webhook-signature": "" },
      { ...good, "webhook-signature": "v1,AAAA" },
      { ...good, "webhook-signature": `v1,${Buffer.alloc(32).toString("base64")}` },
      { ...good, "webhook-id": "two" },
      signed(body, "one", newWebhookSecret(randomBytes(32))),
      signed(body, "one", secret, clock.now() - 6 * 60_000),
      signed(body, "one", secret, clock.now() + 6 * 60_000),
    ];
    for (const headers of forged) {
      expect(await send(id, body, headers)).toMatchObject({ status: 401, body: { code: "unauthorized" } });
    }
    // The same value, written anew: other bytes.
    expect((await send(id, '{"a": 1}', good)).status).toBe(401);
    expect(await events()).toEqual([]);
    expect(await send(id, body, { ...good, "x-delivery-id": "unsigned name" })).toMatchObject({
      status: 202,
      body: { delivery_id: "one" },
    });
    // Caught on its way and sent again, under another name: the signed one counts.
    expect((await send(id, body, { ...good, "x-delivery-id": "another" })).status).toBe(202);
    expect(await events()).toHaveLength(1);
  });

  it("take two secrets for a day when one replaces the other", async () => {
    const { id } = (await create({ secret })).body;
    const next = newWebhookSecret(randomBytes(32));
    await change(id, { secret: next });
    expect((await send(id, "{}", signed("{}", "old", secret))).status).toBe(202);
    expect((await send(id, "{}", signed("{}", "new", next))).status).toBe(202);
    clock.advance(DAY_MS);
    expect((await send(id, "{}", signed("{}", "late", secret))).status).toBe(401);
    expect((await send(id, "{}", signed("{}", "new 2", next))).status).toBe(202);
    expect((await change(id, { secret: null })).body.signed).toBe(false);
    expect((await send(id, "{}")).status).toBe(202);
    expect(await change(id, { secret: "guess me" })).toMatchObject({ status: 400, body: { code: "validation-error" } });
    expect(await change(id, {})).toMatchObject({ status: 400 });
  });

  it("take so many calls in a minute, and say when the next", async () => {
    const { id } = (await create()).body;
    const other = (await create({ slug: "other" })).body;
    for (let index = 0; index < CALLS_PER_MINUTE; index += 1) expect((await send(id)).status).toBe(202);
    const refused = await send(id);
    expect(refused).toMatchObject({ status: 429, body: { code: "rate-limited", details: { retry_after_seconds: 1 } } });
    expect(refused.headers.get("retry-after")).toBe("1");
    expect((await send(other.id)).status).toBe(202);
    clock.advance(1_000);
    expect((await send(id)).status).toBe(202);
    expect((await send(id)).status).toBe(429);
  });

  it("answer every body with 202 or a refusal, and never break", async () => {
    const { id } = (await create()).body;
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.constantFrom('{"__proto__":{"x":1}}', '{"constructor":{"prototype":1}}', "\0", ""),
        ),
        fc.constantFrom("application/json", "application/x-www-form-urlencoded", "text/plain"),
        async (body, type) => {
          clock.advance(60_000);
          expect([202, 400]).toContain((await send(id, body, { "content-type": type })).status);
        },
      ),
      { numRuns: 60 },
    );
    expect(({} as Record<string, unknown>)["x"]).toBeUndefined();
    for (const { id: eventId } of await events()) expect((await detail(eventId)).id).toBe(eventId);
  });
});
