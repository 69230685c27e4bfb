import type { Role } from "@shipfox/shared/api/workspaces";
import { createHmac } from "node:crypto";
import { SentryServer } from "@shipfox/shared/sentry-server.fixture";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readConfig } from "../../../config.ts";
import type { Store } from "../../../store/store.ts";
import { describeStores } from "../../../store/testing.ts";
import { type Api, serveApi, testClock } from "../../../testing/api.ts";
import { insertUser, insertWorkspace, memberAccess } from "../../../testing/rows.ts";
import { createTriggerRoutes, storeTriggerEvent } from "../../triggers/public.ts";
import { createSentryRoutes, Providers, sentrySettings } from "../public.ts";

const NOWHERE = "0b1f0e2c-6a5e-4c3b-9c0a-3f6d2f1f7b11";
const issue = (uuid: string, action = "created") => ({
  action,
  installation: { uuid },
  data: { issue: { id: "42", title: "It broke", web_url: "https://acme.sentry.io/issues/42/" } },
  actor: { type: "application", id: "sentry", name: "Sentry" },
});

describeStores("Sentry", (open) => {
  let store: Store;
  let sentry: SentryServer;
  let api: Api;
  let workspaceId: string;
  const clock = testClock();
  const members = {} as Record<Role, string>;

  beforeEach(async () => {
    store = await open();
    sentry = await SentryServer.start();
    const settings = sentrySettings(readConfig(sentry.environment));
    api = await serveApi([
      ...createSentryRoutes({
        store,
        clock,
        storeDelivery: storeTriggerEvent,
        access: memberAccess,
        providers: new Providers(["sentry"]),
        settings,
      }),
      ...createTriggerRoutes({ store, clock, access: memberAccess, wake: () => {} }),
    ]);
    for (const role of ["owner", "admin", "maintainer", "viewer"] as const) members[role] = await insertUser(store);
    workspaceId = await insertWorkspace(
      store,
      Object.fromEntries(Object.entries(members).map(([role, id]) => [id, role as Role])),
    );
  });
  afterEach(async () => {
    await api.close();
    await sentry.close();
  });

  const connect = (claim: Record<string, unknown>, user = members.admin) =>
    api.call("POST", "/integrations/sentry/connect", { user, body: { workspace_id: workspaceId, ...claim } });
  const send = async ({ headers, body }: { headers: Record<string, string>; body: string }) => {
    const response = await fetch(`${api.url}/webhooks/integrations/sentry`, { method: "POST", headers, body });
    return { status: response.status, text: await response.text() };
  };
  const events = async () =>
    (await api.call("GET", `/trigger-events?workspace_id=${workspaceId}`, { user: members.viewer })).body
      .trigger_events;
  const connections = () => store.read((tx) => tx.all("select * from connections order by created_at"));

  it("is installed by those who manage the workspace, and linked when Sentry takes the code", async () => {
    const install = (user: string) =>
      api.call("POST", "/integrations/sentry/install", { user, body: { workspace_id: workspaceId } });
    expect((await install(members.admin)).body.install_url).toBe(
      `${sentry.url}/sentry-apps/shipfox-test/external-install/`,
    );
    expect((await install(members.maintainer)).status).toBe(403);

    const claim = sentry.install("Acme-Inc");
    expect((await connect(claim, members.maintainer)).status).toBe(403);
    const linked = await connect(claim);
    expect(linked).toMatchObject({
      status: 200,
      body: {
        provider: "sentry",
        slug: "sentry_acme_inc",
        display_name: "Sentry Acme-Inc",
        external_account_id: claim.installation_id,
        lifecycle_status: "active",
        capabilities: [],
        external_url: `${sentry.url}/organizations/Acme-Inc/`,
      },
    });
    expect(sentry.statusOf(claim.installation_id)).toBe("installed");
    // The answer was lost: asked again, without asking Sentry.
    expect((await connect(claim)).body).toEqual(linked.body);
    expect(sentry.calls).toHaveLength(2);
    const stored = JSON.stringify(await connections());
    expect(stored).not.toContain(claim.code);
    expect(stored).not.toContain(sentry.app.clientSecret);
    expect((await connect(sentry.install("acme inc"))).body.slug).toBe("sentry_acme_inc_2");
  });

  it("is not linked without the code of the installation, nor to a second workspace", async () => {
    const claim = sentry.install("acme");
    for (const wrong of [
      { ...claim, code: "guessed" },
      { ...claim, installation_id: NOWHERE },
    ]) {
      expect(await connect(wrong)).toMatchObject({ status: 403, body: { code: "sentry-claim-proof-mismatch" } });
    }
    expect(await connect({ ...claim, installation_id: "../../x" })).toMatchObject({ status: 400 });
    expect((await connect(claim)).status).toBe(200);
    const elsewhere = await insertWorkspace(store, { [members.admin]: "owner" });
    expect(await connect({ ...claim, workspace_id: elsewhere })).toMatchObject({
      status: 409,
      body: { code: "sentry-installation-already-linked" },
    });
    expect(await connections()).toHaveLength(1);
  });

  it("is linked once when asked twice at the same time", async () => {
    const claim = sentry.install("acme");
    const answers = await Promise.all([connect(claim), connect(claim), connect(claim)]);
    const codes = answers.map(({ status, body }) => (status === 200 ? "linked" : body.code));
    expect(codes.filter((code) => code === "linked").length).toBeGreaterThan(0);
    expect(codes.filter((code) => code !== "linked" && code !== "sentry-verification-in-progress")).toEqual([]);
    expect(await connections()).toHaveLength(1);
  });

  it("tells what Sentry's troubles are, and outlasts the short ones", async () => {
    const claim = sentry.install("acme");
    sentry.troubles.push({ status: 503 });
    expect(await connect(claim)).toMatchObject({ status: 503, body: { code: "provider-unavailable" } });
    sentry.troubles.push({ status: 429, headers: { "retry-after": "7" } });
    expect(await connect(claim)).toMatchObject({
      status: 429,
      body: { code: "rate-limited", details: { retry_after_seconds: 7 } },
    });
    sentry.troubles.push({ status: 302, headers: { location: `${api.url}/` } });
    expect((await connect(claim)).body.code).toBe("provider-unavailable");
    sentry.troubles.push({ status: 200 });
    expect(await connect(claim)).toMatchObject({ status: 422, body: { code: "malformed-provider-response" } });
    expect((await connect(claim)).status).toBe(200);
  });

  it("stores what happens to issues as events, each delivery once", async () => {
    const { body: connection } = await connect(sentry.install("acme"));
    const uuid = connection.external_account_id;
    const created = sentry.delivery("issue", issue(uuid), { id: "d1" });
    expect(await send(created)).toEqual({ status: 204, text: "" });
    expect((await send(created)).status).toBe(204);
    expect((await send(sentry.delivery("issue", issue(uuid, "ignored")))).status).toBe(204);
    // Older installations of Sentry name the header differently.
    const { "sentry-hook-signature": signature = "", ...rest } = sentry.delivery(
      "issue",
      issue(uuid, "resolved"),
    ).headers;
    const older = {
      headers: { ...rest, "sentry-app-signature": signature },
      body: JSON.stringify(issue(uuid, "resolved")),
    };
    expect((await send(older)).status).toBe(204);
    for (const dropped of [
      sentry.delivery("issue", issue(uuid, "deleted")),
      sentry.delivery("issue", issue(NOWHERE)),
      sentry.delivery("comment", issue(uuid)),
      sentry.delivery("issue", { action: "created", installation: { uuid }, data: {} }),
      sentry.delivery("installation", { action: "created", installation: { uuid }, data: {} }),
    ]) {
      expect((await send(dropped)).status).toBe(204);
    }
    const stored = await events();
    expect(stored.map(({ event }: { event: string }) => event).sort()).toEqual([
      "issue.archived",
      "issue.created",
      "issue.resolved",
    ]);
    const first = stored.find(({ delivery_id }: { delivery_id: string }) => delivery_id === "d1");
    expect(first).toMatchObject({
      provider: "sentry",
      source: "sentry_acme",
      connection_id: connection.id,
      untrusted: false,
    });
    const detail = await api.call("GET", `/trigger-events/${first.id}`, { user: members.viewer });
    expect(detail.body).toMatchObject({
      payload: { action: "created", issueId: "42", title: "It broke", level: null },
    });
  });

  it("refuses what is not signed by Sentry, before it looks at it, and keeps nothing", async () => {
    const { body: connection } = await connect(sentry.install("acme"));
    const body = issue(connection.external_account_id);
    const good = sentry.delivery("issue", body);
    const without = (name: string) => ({
      ...good,
      headers: Object.fromEntries(Object.entries(good.headers).filter(([key]) => key !== name)),
    });
    const signed = (signature: string) => ({
      ...good,
      headers: { ...good.headers, "sentry-hook-signature": signature },
    });
    const refused: [{ headers: Record<string, string>; body: string }, number][] = [
      [without("sentry-hook-signature"), 401],
      [without("request-id"), 400],
      [without("sentry-hook-resource"), 400],
      [sentry.delivery("issue", body, { secret: "another" }), 401],
      [{ ...good, body: `${good.body} ` }, 401],
      [{ ...good, body: JSON.stringify(JSON.parse(good.body), null, 1) }, 401],
      [signed("00"), 401],
      [signed("0".repeat(64)), 401],
      [signed(`sha256=${good.headers["sentry-hook-signature"]}`), 401],
    ];
    for (const [delivery, status] of refused) {
      const answer = await send(delivery);
      expect([status, Object.keys(JSON.parse(answer.text))]).toEqual([answer.status, ["error"]]);
    }
    const nonsense = "{";
    const signature = createHmac("sha256", sentry.app.clientSecret).update(nonsense).digest("hex");
    expect((await send({ body: nonsense, headers: signed(signature).headers })).status).toBe(400);
    const text = { ...good, headers: { ...good.headers, "content-type": "text/plain" } };
    expect((await send(text)).status).toBe(415);
    const huge = sentry.delivery("issue", { ...body, filler: "x".repeat(512 * 1024) });
    expect((await send(huge)).status).toBe(413);
    expect(await events()).toEqual([]);
  });

  it("ends the connection when Sentry removes the installation, and goes on with the next one", async () => {
    const claim = sentry.install("acme");
    const { body: connection } = await connect(claim);
    const uuid = claim.installation_id;
    expect((await send(sentry.delivery("installation", { action: "deleted", installation: { uuid } }))).status).toBe(
      204,
    );
    await send(sentry.delivery("issue", issue(uuid)));
    expect(await events()).toEqual([]);
    expect(await connect(claim)).toMatchObject({ status: 409, body: { code: "sentry-installation-deleted" } });

    const again = sentry.install("acme");
    expect((await connect(again)).body).toMatchObject({
      id: connection.id,
      slug: connection.slug,
      lifecycle_status: "active",
      external_account_id: again.installation_id,
    });
    await send(sentry.delivery("issue", issue(again.installation_id)));
    expect(await events()).toHaveLength(1);
  });

  it("is not there on a server that is not set up for it", async () => {
    expect(sentrySettings(readConfig({}))).toBeNull();
    expect(() => sentrySettings(readConfig({ SHIPFOX_SENTRY_APP_SLUG: "x" }))).toThrow(/SHIPFOX_SENTRY_CLIENT_ID/);
    const bare = await serveApi(
      createSentryRoutes({
        store,
        clock,
        storeDelivery: storeTriggerEvent,
        access: memberAccess,
        providers: new Providers([]),
        settings: null,
      }),
    );
    const answer = await fetch(`${bare.url}/webhooks/integrations/sentry`, {
      method: "POST",
      ...sentry.delivery("issue", issue(NOWHERE)),
    });
    expect(answer.status).toBe(404);
    await bare.close();
  });
});
