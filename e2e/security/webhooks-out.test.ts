import { createServer, type AddressInfo } from "node:net";
import { hostname } from "node:os";
import { deliveriesReplySchema, webhookDeliverySchema, webhookWithSecretSchema } from "@shipfox/shared/api/webhooks";
import { type Receiver, serveReceiver } from "@shipfox/shared/receiver.fixture";
import { beforeAll, describe, expect, it } from "vitest";
import { attack } from "../src/attack.ts";
import { ControlPlane } from "../src/control-plane.ts";
import { eventually } from "../src/eventually.ts";
import { Instance } from "../src/instance.ts";
import { useStage } from "../src/stage.ts";

describe("webhooks to the inside", () => {
  const stage = useStage();
  let instance: Instance;

  beforeAll(async () => {
    instance = await Instance.create(stage, await ControlPlane.start(stage));
  });

  const path = () => `/workspaces/${instance.workspaceId}/webhooks`;
  const body = (url: string) => ({ url, events: ["run.finished"] });

  /** Sends a test event and answers its delivery after the first attempt. */
  async function attempt(of: Instance, url: string) {
    const all = `/workspaces/${of.workspaceId}/webhooks`;
    const webhook = await of.api.post(webhookWithSecretSchema, all, body(url));
    const { id } = await of.api.post(webhookDeliverySchema, `${all}/${webhook.id}/test`);
    return eventually(`the webhook to ${url} was tried`, async () => {
      const { deliveries } = await of.api.get(deliveriesReplySchema, `${all}/${webhook.id}/deliveries`);
      return deliveries.find((delivery) => delivery.id === id && delivery.last_attempt_at !== null);
    });
  }

  it.each([
    "https://127.0.0.1/",
    "https://localhost/",
    "https://anything.localhost/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://0/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://168.63.129.16/",
    "https://224.0.0.1/",
    "http://hooks.example.com/",
    "https://hooks.example.com:22/",
    "https://hooks.example.com:6443@127.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1/",
  ])(`${attack(18, "%s")}`, async (url) => {
    expect(await instance.api.refused("POST", path(), { body: body(url) })).toMatchObject({
      status: 400,
      code: "invalid-webhook-url",
    });
  });

  it(`${attack(18, "a name that leads to this machine")}`, async () => {
    let connections = 0;
    const listener = createServer((socket) => {
      connections += 1;
      socket.destroy();
    }).listen(0);
    stage.onEnd(async () => void listener.close());
    await new Promise((listening) => listener.once("listening", listening));
    const delivery = await attempt(instance, `https://${hostname()}:${(listener.address() as AddressInfo).port}/`);
    expect(delivery).toMatchObject({ status: "pending", response_status: null, response_excerpt: null });
    expect(delivery.error).toMatch(/^(?:address_refused|name_unresolved): /);
    expect(delivery.error).not.toMatch(/\d+\.\d+\.\d+\.\d+/);
    expect(connections).toBe(0);
  });

  it(`${attack(18, "a redirect, from a receiver that the operator allows")}`, async () => {
    const plane = await ControlPlane.start(stage, { env: { SHIPFOX_WEBHOOKS_ALLOW_PRIVATE: "true" } });
    const open = await Instance.create(stage, plane);
    const inside = await serve();
    const leading = await serve((response) =>
      response.writeHead(307, { location: `${inside.url}/admin` }).end("secret"),
    );
    expect(await attempt(open, leading.url)).toMatchObject({
      response_status: 307,
      response_excerpt: null,
      error: expect.stringMatching(/redirects are not followed/),
    });
    expect([leading.received.length, inside.received.length]).toEqual([1, 0]);

    // An answer without end is cut, and does not hold up the others.
    const endless = await serve((response) => {
      const write = () => void (response.destroyed || response.write("x".repeat(65_536)));
      response.on("drain", write).writeHead(200);
      write();
    });
    expect(await attempt(open, endless.url)).toMatchObject({ status: "succeeded", response_status: 200 });
    expect(await attempt(open, inside.url)).toMatchObject({ status: "succeeded", response_excerpt: null });
  });

  async function serve(
    answer?: (response: Parameters<NonNullable<Parameters<typeof serveReceiver>[0]>>[1]) => void,
  ): Promise<Receiver> {
    const receiver = await serveReceiver((_request, response) => (answer ? answer(response) : response.end("inside")));
    stage.onEnd(() => receiver.close());
    return receiver;
  }
});
