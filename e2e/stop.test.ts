import { once } from "node:events";
import { connect } from "node:net";
import { expect, it } from "vitest";
import { ControlPlane } from "./src/control-plane.ts";
import { Gate } from "./src/gate.ts";
import { HandProvisioner } from "./src/hand-provisioner.ts";
import { HandRunner } from "./src/hand-runner.ts";
import { Instance, workflow } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

/** Longer than the stop of a control plane may take on a machine that does nothing else. */
const LONG_WAIT_SECONDS = 30;
const STUCK_REQUESTS = 30;
const TEMPLATE = { template_key: "small", labels: ["nobody-asks-for"], available_slots: 1, starting: 0, running: 0 };

const stage = useStage();

it("a control plane that is told to stop sends everybody home who waits, does not wait for who is stuck, and ends well", async () => {
  const plane = await ControlPlane.start(stage, { env: { SHIPFOX_ACCESS_LOG: "true" } });
  const instance = await Instance.create(stage, plane);
  const gate = await Gate.create(stage);
  const job = `  job:\n    steps:\n      - run: echo begun; ${gate.wait}; echo done\n`;
  const project = await instance.project({ "long.yml": workflow("Long", job) });
  const runner = await instance.runner({ env: { SHIPFOX_RUNNER_CONCURRENCY: "2" } });
  const runId = await instance.fire(project, "Long");
  const { step } = await instance.stepPrinted(runId, "job", "begun");

  const order: string[] = [];
  const { exited } = plane.child;
  const ended = async (name: string, work: Promise<string>): Promise<string> => {
    const how = await work;
    order.push(name);
    return how;
  };
  const byHand = await HandRunner.register(plane.url, await instance.registrationToken(), ["other"]);
  const provisioner = await HandProvisioner.create(instance);
  const polls = [
    ended(
      "claim",
      byHand.claimCall({ waitSeconds: LONG_WAIT_SECONDS }).then(({ status }) => String(status)),
    ),
    ended(
      "demand",
      provisioner
        .call("demand/poll", { max_reservations: 0, templates: [TEMPLATE], wait_seconds: LONG_WAIT_SECONDS })
        .then(({ status }) => String(status)),
    ),
  ];
  const stream = async (name: string, path: string) => {
    const reply = await fetch(plane.url + path, { headers: { authorization: `Bearer ${instance.api.token}` } });
    if (reply.status !== 200) throw new Error(`${path}: ${reply.status}`);
    // An end that is no end, because the connection broke, rejects.
    return ended(
      name,
      reply.text().then(() => "whole"),
    );
  };
  const streams = [
    stream("events", `/workspaces/${instance.workspaceId}/events/stream`),
    stream("log", `/steps/${step.id}/attempts/1/logs/stream`),
  ];
  await stuckClients(plane.url);
  expect(await Promise.all([...streams, ...polls].map(isOpen))).toEqual(["open", "open", "open", "open"]);

  plane.child.signal("SIGTERM");
  const whole = await Promise.all([...polls, ...streams]);
  expect(whole).toEqual(["204", "200", "whole", "whole"]);
  expect(order.toSorted()).toEqual(["claim", "demand", "events", "log"]);
  // It still waits for those who are stuck, and takes nobody new.
  expect(plane.child.running).toBe(true);
  await expect(fetch(`${plane.url}/readyz`)).rejects.toThrow("fetch failed");
  expect(await exited).toEqual({ code: 0, signal: null });
  expect(plane.child.output).not.toContain("the stop took too long");
  expect(plane.child.output).toMatch(/"name":"access".*"route":"\/runners\/jobs\/request","status":204/);
  // Its runner's heartbeat was answered, not cut.
  expect(plane.child.output).toMatch(/"route":"\/runners\/jobs\/\{jobId\}\/heartbeat","status":200/);

  await plane.restart();
  await gate.open();
  expect((await instance.waitForRun(runId)).status).toBe("succeeded");
  expect(runner.child.running).toBe(true);
}, 120_000);

/** What has not ended after a moment. */
function isOpen(work: Promise<string>): Promise<string> {
  return Promise.race([work, new Promise<string>((resolve) => setTimeout(resolve, 1_000, "open"))]);
}

/** One who asks for more than his connection holds and never reads, and one who never sends what he announced. */
async function stuckClients(url: string): Promise<void> {
  const { port, host } = new URL(url);
  const get = `GET /docs/files/swagger-ui-bundle.js HTTP/1.1\r\nhost: ${host}\r\n\r\n`;
  const post = `POST /auth/login HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n`;
  for (const text of [get.repeat(STUCK_REQUESTS), post]) {
    const socket = connect(Number(port), "127.0.0.1").pause();
    stage.onEnd(async () => socket.destroy());
    await once(socket, "connect");
    socket.write(text);
  }
}
