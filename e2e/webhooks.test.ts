import { createHmac, timingSafeEqual } from "node:crypto";
import { triggerEventsReplySchema } from "@shipfox/shared/api/trigger-events";
import { webhookConnectionSchema } from "@shipfox/shared/api/webhook-connections";
import { deliveriesReplySchema, webhookWithSecretSchema } from "@shipfox/shared/api/webhooks";
import { type Received, serveReceiver } from "@shipfox/shared/receiver.fixture";
import { beforeAll, describe, expect, it } from "vitest";
import { call } from "./src/api.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { eventually } from "./src/eventually.ts";
import { fault } from "./src/fault.ts";
import { Instance, type ProjectHandle, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

const RUNS = 60;
const KILLS = 3;
const DELIVERIES = 200;

/** As the docs tell receivers to check a delivery. */
function isGenuine(secret: string, { headers, body }: Received): boolean {
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const text = `${String(headers["webhook-id"])}.${String(headers["webhook-timestamp"])}.${body}`;
  const expected = createHmac("sha256", key).update(text).digest();
  return String(headers["webhook-signature"])
    .split(" ")
    .map((one) => Buffer.from(one.replace("v1,", ""), "base64"))
    .some((given) => given.length === expected.length && timingSafeEqual(given, expected));
}

describe("a control plane that is killed while it hears and tells", () => {
  const stage = useStage();
  let plane: ControlPlane;
  let instance: Instance;
  let project: ProjectHandle;

  beforeAll(async () => {
    plane = await ControlPlane.start(stage, {
      env: { SHIPFOX_WEBHOOKS_ALLOW_PRIVATE: "true", SHIPFOX_WEBHOOK_TIMEOUT_MS: "1000" },
    });
    instance = await Instance.create(stage, plane);
    project = await instance.project({
      "job.yml": workflow("Job", "  job:\n    checkout: false\n    steps:\n      - run: 'true'\n"),
    });
  });

  async function killAndRestart(): Promise<void> {
    await plane.kill9();
    await plane.restart();
  }

  it("tells of every event of every run it acknowledged, each under one id", async () => {
    const receiver = await serveReceiver((_request, response) => setTimeout(() => response.end(), 20));
    stage.onEnd(() => receiver.close());
    const path = `/workspaces/${instance.workspaceId}/webhooks`;
    const events = ["run.created", "job.queued", "job.finished", "run.finished"];
    const webhook = await instance.api.post(webhookWithSecretSchema, path, { url: receiver.url, events });

    const runs: string[] = [];
    for (let kill = 0; kill < KILLS; kill += 1) {
      for (let index = 0; index < RUNS / KILLS; index += 1) {
        const id = await instance.fire(project, "Job");
        runs.push(id);
        await instance.api.call("POST", `/workflows/runs/${id}/cancel`);
      }
      await receiver.came(kill * RUNS + 10);
      await killAndRestart();
    }

    const expected = runs.flatMap((id) => events.map((type) => `${id} ${type}`)).toSorted();
    const told = () => {
      const bodies = receiver.received.map(({ body }) => JSON.parse(body) as { run_id: string; type: string });
      return [...new Set(bodies.map(({ run_id, type }) => `${run_id} ${type}`))].toSorted();
    };
    await eventually("all events are told", async () => told().length === expected.length, { limitMs: 280_000 });
    expect(told()).toEqual(expected);
    expect(receiver.received.every((request) => isGenuine(webhook.secret ?? "", request))).toBe(true);
    // Repeats come under the id that the first one had.
    const ids = new Map(
      receiver.received.map(({ headers, body }) => [String(headers["webhook-id"]), JSON.parse(body).id]),
    );
    expect([ids.size, new Set(ids.values()).size]).toEqual([expected.length, expected.length]);
    const { deliveries } = await instance.api.get(
      deliveriesReplySchema,
      `${path}/${webhook.id}/deliveries?status=failed`,
    );
    expect(deliveries).toEqual([]);
  });

  /** A custom webhook; answers its id. */
  async function connect(slug: string): Promise<string> {
    const body = { workspace_id: instance.workspaceId, name: slug, slug };
    return (await instance.api.post(webhookConnectionSchema, "/integrations/webhook/connections", body)).id;
  }

  /** The delivery ids of the events of a source. */
  async function deliveriesOf(source: string): Promise<string[]> {
    const seen: string[] = [];
    for (let cursor = ""; ; ) {
      const path = `/trigger-events?workspace_id=${instance.workspaceId}&source=${source}&limit=100${cursor}`;
      const page = await instance.api.get(triggerEventsReplySchema, path);
      seen.push(...page.trigger_events.map((event) => event.delivery_id ?? ""));
      if (page.next_cursor === null) return seen.toSorted();
      cursor = `&cursor=${page.next_cursor}`;
    }
  }

  /** A project whose workflow starts with each call of these webhooks; its jobs wait for a runner that never comes. */
  async function listenTo(slug: string): Promise<ProjectHandle> {
    const triggers = `triggers:\n  called: { source: ${slug}, event: received, filter: "event.method == 'POST'" }\n`;
    const jobs = "jobs:\n  job: { runner: nowhere, checkout: false, steps: [{ run: 'true' }] }\n";
    return instance.project({ "on-call.yml": `name: On ${slug}\n${triggers}${jobs}` });
  }

  /** The delivery ids of the events that started the runs of a project, each as often as it did. */
  async function startedBy(listening: ProjectHandle): Promise<string[]> {
    const started: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await instance.api.client.runs.list({ project_id: listening.id, limit: 100, cursor });
      started.push(...page.runs.map((run) => JSON.stringify(run.trigger_payload["deliveryId"])));
      if (page.next_cursor === null) return started.toSorted();
      cursor = page.next_cursor;
    }
  }

  /** Waits until all events of a source were offered to the workflows. */
  const routed = (source: string) =>
    eventually(`the events of ${source} are routed`, async () => {
      const path = `/trigger-events?workspace_id=${instance.workspaceId}&source=${source}&outcome=received,failed`;
      return (await instance.api.get(triggerEventsReplySchema, path)).trigger_events.length === 0;
    });

  it(`${fault(41, "custom webhook")}`, async () => {
    const id = await connect("crowd");
    const listening = await listenTo("crowd");
    const send = (turn: number) =>
      call(plane.url, "POST", `/webhook/${id}`, { body: { turn }, headers: { "x-delivery-id": `d${turn % 5}` } });
    const answers = await Promise.all(Array.from({ length: 100 }, (_, turn) => send(turn)));
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 202));
    expect(await deliveriesOf("crowd")).toEqual(["d0", "d1", "d2", "d3", "d4"]);
    await routed("crowd");
    expect(await startedBy(listening)).toEqual(["d0", "d1", "d2", "d3", "d4"].map((id) => JSON.stringify(id)));
  });

  it(`${fault(42, "custom webhook")}`, async () => {
    const id = await connect("alerts");
    const listening = await listenTo("alerts");
    const send = (delivery: number) =>
      eventually(`delivery ${delivery} is acknowledged`, async () => {
        const headers = { "x-delivery-id": `d${delivery}` };
        return (await call(plane.url, "POST", `/webhook/${id}`, { body: { delivery }, headers })).status === 202;
      });
    const sent = Array.from({ length: DELIVERIES }, (_, index) => send(index));
    await sent[0];
    await killAndRestart();
    await Promise.all(sent);
    // Once more, while what was acknowledged starts its runs.
    await killAndRestart();

    const all = Array.from({ length: DELIVERIES }, (_, index) => `d${index}`).toSorted();
    expect(await deliveriesOf("alerts")).toEqual(all);
    await routed("alerts");
    expect(await startedBy(listening)).toEqual(all.map((id) => JSON.stringify(id)).toSorted());
  });
});
