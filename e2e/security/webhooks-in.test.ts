import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { connectionSchema } from "@shipfox/shared/api/integrations";
import { triggerEventsReplySchema } from "@shipfox/shared/api/trigger-events";
import { webhookConnectionSchema } from "@shipfox/shared/api/webhook-connections";
import { SentryServer } from "@shipfox/shared/sentry-server.fixture";
import { beforeAll, describe, expect, it } from "vitest";
import { type Answer, call } from "../src/api.ts";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { Instance } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";

const BODY = '{"severity":"high","__proto__":{"isAdmin":true}}';
const SIX_MINUTES_S = 360;

describe("what comes in from strangers", () => {
  const stage = useStage();
  const key = randomBytes(32);
  let sentry: SentryServer;
  let plane: ControlPlane;
  let instance: Instance;

  beforeAll(async () => {
    sentry = await SentryServer.start();
    stage.onEnd(() => sentry.close());
    plane = await ControlPlane.start(stage, { env: sentry.environment });
    instance = await Instance.create(stage, plane);
  });

  const events = async (source: string) => {
    const path = `/trigger-events?workspace_id=${instance.workspaceId}&source=${source}`;
    return (await instance.api.get(triggerEventsReplySchema, path)).trigger_events;
  };

  /** The headers of a Standard Webhooks call, written out as a sender of another language would. */
  function signed(body: string, { id = randomUUID(), at = Math.floor(Date.now() / 1000), by = key } = {}) {
    const signature = createHmac("sha256", by).update(`${id}.${at}.${body}`).digest("base64");
    return { "webhook-id": id, "webhook-timestamp": String(at), "webhook-signature": `v1,${signature}` };
  }

  it(`${attack(19, "a custom webhook with a secret")}`, async () => {
    const { id } = await instance.api.post(webhookConnectionSchema, "/integrations/webhook/connections", {
      workspace_id: instance.workspaceId,
      name: "Alerts",
      slug: "alerts",
      secret: `whsec_${key.toString("base64")}`,
    });
    const send = (headers: Record<string, string>, body = BODY): Promise<Answer> =>
      call(plane.url, "POST", `/webhook/${id}`, { body, headers });
    const now = Math.floor(Date.now() / 1000);
    const good = signed(BODY);
    const forged: [Record<string, string>, string?][] = [
      [{}],
      [{ ...good, "webhook-signature": "v1," }],
      [{ ...good, "webhook-signature": good["webhook-signature"].slice(0, -4) }],
      [{ ...good, "webhook-signature": `${good["webhook-signature"]}AAAA` }],
      [{ ...good, "webhook-signature": good["webhook-signature"].replace("v1,", "v1a,") }],
      [{ ...good, "webhook-id": randomUUID() }],
      [{ ...good, "webhook-timestamp": String(now + 1) }],
      [signed(BODY, { by: randomBytes(32) })],
      [signed(BODY, { by: Buffer.alloc(0) })],
      [signed(BODY, { at: now - SIX_MINUTES_S })],
      [signed(BODY, { at: now + SIX_MINUTES_S })],
      [good, JSON.stringify(JSON.parse(BODY), null, 1)],
      [good, `${BODY}\n`],
      [good, ""],
    ];
    const answers = await Promise.all(forged.map(([headers, body]) => send(headers, body)));
    expect(answers.map(({ status }) => status)).toEqual(forged.map(() => 401));
    // Nothing tells which part was wrong.
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(await events("alerts")).toEqual([]);

    const replies = await Promise.all(Array.from({ length: 20 }, () => send(good)));
    expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 202));
    expect(await events("alerts")).toHaveLength(1);
  });

  it(`${attack(19, "Sentry")}`, async () => {
    const claim = { workspace_id: instance.workspaceId, ...sentry.install("acme") };
    const { id, slug } = await instance.api.post(connectionSchema, "/integrations/sentry/connect", claim);
    const issue = {
      action: "created",
      installation: { uuid: claim.installation_id },
      data: { issue: { id: "1", title: "It broke" } },
    };
    const send = ({ headers, body }: { headers: Record<string, string>; body: string }) =>
      call(plane.url, "POST", "/webhooks/integrations/sentry", { headers, body });
    const good = sentry.delivery("issue", issue, { id: "the one" });
    const signature = good.headers["sentry-hook-signature"] ?? "";
    const withSignature = (text: string) => ({ ...good, headers: { ...good.headers, "sentry-hook-signature": text } });
    const forged = [
      sentry.delivery("issue", issue, { secret: "guessed" }),
      sentry.delivery("issue", issue, { secret: "" }),
      withSignature(signature.slice(0, -2)),
      withSignature(`${signature}00`),
      withSignature(signature.toUpperCase().replace(/.$/, "!")),
      withSignature(`sha256=${signature}`),
      withSignature("0".repeat(64)),
      { ...good, body: `${good.body} ` },
      { ...good, body: JSON.stringify(issue, null, 1) },
      { ...good, body: good.body.replace("It broke", "Injected") },
    ];
    for (const one of forged) expect((await send(one)).status).toBe(401);
    expect(await events(slug)).toEqual([]);
    for (let repeat = 0; repeat < 3; repeat += 1) expect((await send(good)).status).toBe(204);
    expect(await events(slug)).toMatchObject([{ delivery_id: "the one", connection_id: id }]);
  });

  it(`${attack(19, "URLs that are guessed")}`, async () => {
    for (const id of [randomUUID(), instance.connectionId, instance.workspaceId]) {
      expect((await call(plane.url, "POST", `/webhook/${id}`, { body: {} })).status).toBe(404);
    }
    const odd = ["%00", "..%2f..%2fetc", "1 or 1=1", "x".repeat(5_000)].map((text) => encodeURI(text));
    for (const id of odd) {
      expect([400, 404]).toContain((await call(plane.url, "POST", `/webhook/${id}`, { body: {} })).status);
    }
  });
});
