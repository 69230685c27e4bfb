import type { Role } from "@shipfox/shared/api/workspaces";
import type { RunEventType } from "@shipfox/shared/api/events";
import { newId } from "@shipfox/shared/ids";
import { afterEach, beforeEach, expect, it } from "vitest";
import { isSignedWebhook, type SignatureHeaders } from "../../http/webhook-signature.ts";
import { createResolver } from "../../network/resolve-host.ts";
import { type Received, type Receiver, serveReceiver } from "@shipfox/shared/receiver.fixture";
import type { WebhookDeliveryRow } from "../../store/schema.ts";
import type { RunEventDraft, Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, serveApi, silentLog, TEST_ROOT_KEY, testClock } from "../../testing/api.ts";
import { insertUser, insertWorkspace, memberAccess } from "../../testing/rows.ts";
import { Envelope } from "../secrets/public.ts";
import { createOutgoingWebhookRoutes, OutgoingWebhooks } from "./public.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const RUN = "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b11";
const PROJECT = "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b12";
const JOB = "01981f0e-6a5e-7c3b-9c0a-3f6d2f1f7b13";
const TIMEOUT_MS = 5_000;

describeStores("outgoing webhooks", (open) => {
  let store: Store;
  let api: Api;
  let receiver: Receiver;
  let answer: (request: Received) => number;
  let outgoing: OutgoingWebhooks;
  let workspaceId: string;
  const clock = testClock();
  const envelope = new Envelope(TEST_ROOT_KEY);
  const members = {} as Record<Role, string>;

  function makeOutgoing(): OutgoingWebhooks {
    return new OutgoingWebhooks({
      store,
      clock,
      log: silentLog,
      envelope,
      resolve: createResolver(),
      version: "0.0.0",
      random: () => 0.5,
      settings: { allowPrivate: true, timeoutMs: TIMEOUT_MS, disableAfterMs: 5 * DAY_MS, retentionMs: 30 * DAY_MS },
    });
  }

  beforeEach(async () => {
    store = await open();
    answer = () => 204;
    receiver = await serveReceiver((request, response) => response.writeHead(answer(request)).end("thanks"));
    outgoing = makeOutgoing();
    api = await serveApi(
      createOutgoingWebhookRoutes({ store, clock, access: memberAccess, envelope, allowPrivate: true, wake: () => {} }),
    );
    for (const role of ["owner", "admin", "maintainer", "viewer"] as const) members[role] = await insertUser(store);
    workspaceId = await insertWorkspace(
      store,
      Object.fromEntries(Object.entries(members).map(([role, id]) => [id, role as Role])),
    );
  });
  afterEach(async () => {
    await outgoing.stop();
    await api.close();
    await receiver.close();
  });

  const all = () => `/workspaces/${workspaceId}/webhooks`;
  const create = (fields: Record<string, unknown> = {}, user = members.admin) =>
    api.call("POST", all(), { user, body: { url: `${receiver.url}/hook`, events: ["run.finished"], ...fields } });
  const change = (id: string, body: Record<string, unknown>) =>
    api.call("PATCH", `${all()}/${id}`, { user: members.admin, body });
  const read = async (id: string) => (await api.call("GET", `${all()}/${id}`, { user: members.admin })).body;
  const deliveries = async (id: string, query = "") =>
    (await api.call("GET", `${all()}/${id}/deliveries${query}`, { user: members.admin })).body.deliveries;
  const happen = (type: RunEventType, fields: Partial<RunEventDraft> = {}) =>
    store.write(async (tx) =>
      tx.record({
        workspaceId,
        projectId: PROJECT,
        runId: RUN,
        type,
        payload: { status: "succeeded" },
        createdAt: clock.now(),
        ...fields,
      }),
    );
  /** Everything that is to be done now, and all that follows from it at once. */
  const work = async (of = outgoing) => {
    while ((await of.plan(clock.now())) !== null);
    for (;;) {
      const before = receiver.received.length;
      const next = await of.send(clock.now());
      await of.settled();
      if (receiver.received.length === before) return next;
    }
  };
  const isSigned = ({ headers, body }: Received, ...secrets: string[]) =>
    isSignedWebhook(secrets, headers as Partial<SignatureHeaders>, Buffer.from(body), clock.now());

  it("send the chosen events of runs and jobs, each once, signed, as the API shows them", async () => {
    const made = await create({ events: ["run.finished", "job.finished"], name: "CI" });
    expect(made).toMatchObject({ status: 201, body: { name: "CI", status: "active", failing_since: null } });
    await happen("run.started");
    await happen("job.finished", { jobId: JOB, payload: { key: "test", sequence: 1, status: "failed", reason: null } });
    await happen("step.finished");
    await happen("run.finished");
    await work();
    await work();
    expect(receiver.received.map(({ body }) => JSON.parse(body))).toEqual([
      {
        id: 2,
        type: "job.finished",
        run_id: RUN,
        created_at: new Date(clock.now()).toISOString(),
        payload: {
          workspace_id: workspaceId,
          project_id: PROJECT,
          job_id: JOB,
          job_execution_id: null,
          step_id: null,
          key: "test",
          sequence: 1,
          status: "failed",
          reason: null,
        },
      },
      expect.objectContaining({ id: 4, type: "run.finished", run_id: RUN }),
    ]);
    for (const request of receiver.received) {
      expect(isSigned(request, made.body.secret)).toBe(true);
      expect(request.headers).toMatchObject({
        "content-type": "application/json",
        "user-agent": "Shipfox-Webhook/0.0.0",
      });
    }
    expect(receiver.received.map(({ headers }) => headers["shipfox-event"])).toEqual(["job.finished", "run.finished"]);
    expect(await deliveries(made.body.id)).toMatchObject([
      { event_id: 4, status: "succeeded", attempts: 1, response_status: 204, error: null, next_attempt_at: null },
      { event_id: 2, status: "succeeded", attempts: 1 },
    ]);
    expect(new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size).toBe(2);
  });

  it("tell nothing of other workspaces, and nothing from before they were made", async () => {
    await happen("run.finished");
    const { id } = (await create()).body;
    const elsewhere = await insertWorkspace(store, {});
    await happen("run.finished", { workspaceId: elsewhere });
    await work();
    expect(receiver.received).toEqual([]);
    expect(await deliveries(id)).toEqual([]);
  });

  it("show the secret once and keep it sealed; a new one is used beside the old one for a day", async () => {
    const first = (await create()).body;
    expect(first.secret).toMatch(/^whsec_/);
    expect(await read(first.id)).not.toHaveProperty("secret");
    const { secret } = (await change(first.id, { rotate_secret: true })).body;
    expect(secret).not.toBe(first.secret);
    const stored = JSON.stringify(await store.read((tx) => tx.all("select * from webhooks")));
    expect([first.secret, secret].filter((one) => stored.includes(one.slice("whsec_".length)))).toEqual([]);

    await happen("run.finished");
    await work();
    expect([
      isSigned(receiver.received[0] as Received, first.secret),
      isSigned(receiver.received[0] as Received, secret),
    ]).toEqual([true, true]);
    clock.advance(DAY_MS);
    await happen("run.finished");
    await work();
    expect([
      isSigned(receiver.received[1] as Received, first.secret),
      isSigned(receiver.received[1] as Received, secret),
    ]).toEqual([false, true]);
  });

  it("are tried again with growing waits, then failed, and sent once more when asked, with the same id", async () => {
    answer = () => 500;
    const { id } = (await create()).body;
    await happen("run.finished");
    const waits: number[] = [];
    for (let next = await work(); next !== null; next = await work()) {
      waits.push(next - clock.now());
      expect(await deliveries(id)).toMatchObject([
        {
          status: "pending",
          attempts: waits.length,
          error: "answered 500",
          response_status: 500,
          response_excerpt: null,
        },
      ]);
      clock.advance(next - clock.now());
    }
    expect(waits.map((wait) => wait / 1_000)).toEqual([5, 20, 80, 320, 1_280, 5_120, 20_480, 21_600]);
    const [failed] = await deliveries(id, "?status=failed");
    expect(failed).toMatchObject({ status: "failed", attempts: 9, next_attempt_at: null });
    expect(failed.finished_at).not.toBeNull();
    expect((await read(id)).failing_since).not.toBeNull();

    answer = () => 200;
    const again = await api.call("POST", `${all()}/${id}/deliveries/${failed.id}/redeliver`, { user: members.admin });
    expect(again).toMatchObject({ status: 202, body: { id: failed.id, status: "pending", attempts: 0 } });
    await work();
    expect(await deliveries(id)).toMatchObject([{ id: failed.id, status: "succeeded", attempts: 1 }]);
    expect(new Set(receiver.received.map(({ headers }) => headers["webhook-id"]))).toEqual(new Set([failed.id]));
    expect((await read(id)).failing_since).toBeNull();
  });

  it("are disabled with the reason when nothing is taken for days, and go on when enabled", async () => {
    answer = () => 410;
    const { id } = (await create()).body;
    await happen("run.finished");
    await work();
    clock.advance(5 * DAY_MS);
    await work();
    expect(await read(id)).toMatchObject({
      status: "disabled",
      disabled_reason: expect.stringMatching(/^no delivery succeeded since .*; at last: answered 410$/),
    });
    const refused = await api.call("POST", `${all()}/${id}/test`, { user: members.admin });
    expect(refused).toMatchObject({ status: 409, body: { code: "webhook-disabled" } });
    const told = await store.read((tx) => tx.all("select type from run_events where type = 'webhook.disabled'"));
    expect(told).toHaveLength(1);
    await happen("run.finished");
    clock.advance(DAY_MS);
    await work();
    expect(receiver.received).toHaveLength(2);

    answer = () => 204;
    expect((await change(id, { status: "active" })).body).toMatchObject({ status: "active", disabled_reason: null });
    await happen("run.finished");
    await work();
    // What waited when it was disabled, and what happened since it was enabled; nothing of the time between.
    expect(
      (await deliveries(id)).map((one: { event_id: number; status: string }) => [one.event_id, one.status]),
    ).toEqual([
      [4, "succeeded"],
      [1, "succeeded"],
    ]);
  });

  it("write each delivery once, however many processes plan at once", async () => {
    const { id } = (await create()).body;
    for (let index = 0; index < 450; index += 1) await happen(index % 2 === 0 ? "run.finished" : "step.finished");
    const others = [makeOutgoing(), makeOutgoing(), makeOutgoing()];
    await Promise.all(
      others.map(async (one) => {
        while ((await one.plan(clock.now())) !== null);
      }),
    );
    const rows = await store.read((tx) =>
      tx.all<WebhookDeliveryRow>("select * from webhook_deliveries order by event_id"),
    );
    expect(rows.map(({ event_id }) => event_id)).toEqual(Array.from({ length: 225 }, (_, index) => index * 2 + 1));
    await Promise.all(others.map((one) => work(one)));
    expect(new Set(receiver.received.map(({ headers }) => headers["webhook-id"])).size).toBe(225);
    expect(receiver.received).toHaveLength(225);
    expect(await deliveries(id, "?status=succeeded&limit=100")).toHaveLength(100);
  });

  it("of a workspace that is suspended wait until it is active again", async () => {
    await create();
    await happen("run.finished");
    await outgoing.plan(clock.now());
    const setStatus = (status: string) =>
      store.write((tx) => tx.run("update workspaces set status = ? where id = ?", [status, workspaceId]));
    await setStatus("suspended");
    await happen("run.finished");
    await work();
    expect(receiver.received).toEqual([]);
    await setStatus("active");
    await work();
    expect(receiver.received).toHaveLength(2);
  });

  it("wait as run events when too many wait as deliveries, and none is lost", async () => {
    const { id } = (await create()).body;
    await store.write(async (tx) => {
      const sql = `insert into webhook_deliveries (id, webhook_id, event_type, body, status, attempts, due_at, created_at)
        values (?, ?, 'webhook.test', '{}', 'pending', 0, ?, ?)`;
      const later = clock.now() + HOUR_MS;
      for (let index = 0; index < 9_999; index += 1) await tx.run(sql, [newId(), id, later, clock.now()]);
    });
    for (let index = 0; index < 3; index += 1) await happen("run.finished");
    const planned = async () =>
      (await store.read((tx) => tx.all("select id from webhook_deliveries where event_id is not null"))).length;
    while ((await outgoing.plan(clock.now())) !== null);
    expect(await planned()).toBe(1);
    await store.write((tx) => tx.run("delete from webhook_deliveries where event_type = 'webhook.test'"));
    while ((await outgoing.plan(clock.now())) !== null);
    expect(await planned()).toBe(3);
  });

  it("are sent again when a process died between the sending and the writing down", async () => {
    const { id } = (await create()).body;
    await happen("run.finished");
    await outgoing.plan(clock.now());
    // A claim of a process that is gone.
    const lostAt = clock.now() + HOUR_MS;
    await store.write((tx) => tx.run("update webhook_deliveries set due_at = ?, attempts = 1", [lostAt]));
    expect(await work()).toBe(lostAt);
    expect(receiver.received).toEqual([]);
    clock.advance(HOUR_MS);
    await work();
    expect(receiver.received).toHaveLength(1);
    expect(await deliveries(id)).toMatchObject([{ status: "succeeded", attempts: 2 }]);
  });

  it("hand back what a stop broke off, at once and uncounted", async () => {
    const silent = await serveReceiver(() => {});
    const { id } = (await create({ url: silent.url })).body;
    await happen("run.finished");
    await outgoing.plan(clock.now());
    await outgoing.send(clock.now());
    await silent.came(1);
    await outgoing.stop();
    expect(await deliveries(id)).toMatchObject([
      { status: "pending", attempts: 0, next_attempt_at: new Date(clock.now()).toISOString() },
    ]);
    await silent.close();
  });

  it("of a slow receiver take a few places and delay no other", async () => {
    const slow = await serveReceiver(() => {});
    await create({ url: slow.url });
    for (let index = 0; index < 20; index += 1) await happen("run.finished");
    await outgoing.plan(clock.now());
    await outgoing.send(clock.now());
    await slow.came(4);
    await create();
    await happen("run.finished");
    await outgoing.plan(clock.now());
    await outgoing.send(clock.now());
    await receiver.came(1);
    await outgoing.send(clock.now());
    expect(slow.received).toHaveLength(4);
    await slow.close();
  });

  it("can be tested, changed, listed and removed, by admins and owners only", async () => {
    const { id } = (await create()).body;
    const test = await api.call("POST", `${all()}/${id}/test`, { user: members.owner });
    expect(test).toMatchObject({
      status: 202,
      body: { event_type: "webhook.test", event_id: null, status: "pending" },
    });
    await work();
    expect(JSON.parse(receiver.received[0]?.body ?? "")).toMatchObject({
      type: "webhook.test",
      id: null,
      payload: { webhook_id: id },
    });
    await change(id, { url: `${receiver.url}/other`, events: ["run.started", "run.started"], name: null });
    expect(await read(id)).toMatchObject({ url: `${receiver.url}/other`, events: ["run.started"], name: null });

    for (const user of [members.maintainer, members.viewer, await insertUser(store)]) {
      const calls = [
        ["POST", all(), { url: receiver.url, events: ["run.finished"] }],
        ["GET", all()],
        ["GET", `${all()}/${id}`],
        ["PATCH", `${all()}/${id}`, { status: "disabled" }],
        ["DELETE", `${all()}/${id}`],
        ["GET", `${all()}/${id}/deliveries`],
        ["POST", `${all()}/${id}/deliveries/${test.body.id}/redeliver`],
        ["POST", `${all()}/${id}/test`],
      ] as const;
      for (const [method, path, body] of calls) {
        expect([method, path, await api.call(method, path, { user, body })]).toMatchObject([
          method,
          path,
          { status: 403 },
        ]);
      }
    }
    const elsewhere = await insertWorkspace(store, { [members.admin]: "owner" });
    const foreign = await api.call("GET", `/workspaces/${elsewhere}/webhooks/${id}`, { user: members.admin });
    expect(foreign).toMatchObject({ status: 404, body: { code: "not-found" } });

    expect((await api.call("GET", all(), { user: members.admin })).body.webhooks).toMatchObject([{ id }]);
    expect((await api.call("DELETE", `${all()}/${id}`, { user: members.admin })).status).toBe(204);
    expect(await store.read((tx) => tx.all("select id from webhook_deliveries"))).toEqual([]);
    const actions = await store.read((tx) => tx.all<{ action: string }>("select action from audit_events order by id"));
    expect(actions.map(({ action }) => action)).toEqual([
      "webhook.created",
      "webhook.tested",
      "webhook.updated",
      "webhook.deleted",
    ]);
  });

  it.each([
    [{ url: "https://user:pass@example.com" }, "invalid-webhook-url"],
    [{ url: "http://127.0.0.1:22/" }, "invalid-webhook-url"],
    [{ events: [] }, "validation-error"],
    [{ events: ["step.finished"] }, "validation-error"],
    [{ events: ["__proto__"] }, "validation-error"],
    [{ secret: "mine" }, "validation-error"],
  ])("refuse %j", async (fields, code) => {
    expect(await create(fields)).toMatchObject({ status: 400, body: { code } });
  });

  it("are at most 20 in a workspace", async () => {
    for (let index = 0; index < 20; index += 1) expect((await create()).status).toBe(201);
    expect(await create()).toMatchObject({ status: 422, body: { code: "webhooks-exhausted" } });
  });

  it("call nobody inside where private addresses are not allowed, and say why", async () => {
    const { id } = (await create({ url: receiver.url.replace("127.0.0.1", "localhost") })).body;
    const strict = new OutgoingWebhooks({
      store,
      clock,
      log: silentLog,
      envelope,
      resolve: createResolver(),
      version: "0.0.0",
      random: () => 0.5,
      settings: { allowPrivate: false, timeoutMs: TIMEOUT_MS, disableAfterMs: DAY_MS, retentionMs: DAY_MS },
    });
    await happen("run.finished");
    await work(strict);
    await store.write((tx) => tx.run("update webhooks set url = ?", [`https://localhost:${receiver.port}/`]));
    await store.write((tx) => tx.run("update webhook_deliveries set due_at = 0"));
    await work(strict);
    expect(receiver.received).toEqual([]);
    expect(await deliveries(id)).toMatchObject([
      {
        status: "pending",
        attempts: 2,
        response_status: null,
        error: expect.stringMatching(/not on the public internet/),
      },
    ]);
  });

  it("forget deliveries when their time is over", async () => {
    const { id } = (await create()).body;
    await happen("run.finished");
    await work();
    expect(await outgoing.deleteOld(clock.now())).toBe(clock.now() + 30 * DAY_MS);
    clock.advance(30 * DAY_MS);
    expect(await outgoing.deleteOld(clock.now())).toBeNull();
    expect(await deliveries(id)).toEqual([]);
    await work();
    expect(receiver.received).toHaveLength(1);
  });
});
