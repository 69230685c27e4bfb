import { readFileSync } from "node:fs";
import { triggerEventsReplySchema } from "@shipfox/shared/api/trigger-events";
import { webhookConnectionSchema } from "@shipfox/shared/api/webhook-connections";
import { describe, expect, it } from "vitest";
import { call } from "./src/api.ts";
import { ControlPlane } from "./src/control-plane.ts";
import { followEvents } from "./src/event-stream.ts";
import { eventually } from "./src/eventually.ts";
import { Instance, jobOf } from "./src/instance.ts";
import { useStage } from "./src/stage.ts";

const NAME = "Deploy what is ready";
const PAGE = readFileSync(new URL("../docs/workflows.md", import.meta.url), "utf8");
/** The listening job that the docs show. */
const DOCUMENTED = [...PAGE.matchAll(/^```yaml\n(.*?)^```$/gms)].find(([, yaml]) => yaml?.startsWith(`name: ${NAME}`));

describe("a run that listens to a webhook", () => {
  const stage = useStage();

  it("does once what each event asks for, whatever is killed, until one ends it", async () => {
    const plane = await ControlPlane.start(stage);
    const instance = await Instance.create(stage, plane);
    const body = { workspace_id: instance.workspaceId, name: "releases", slug: "releases" };
    const { id } = await instance.api.post(webhookConnectionSchema, "/integrations/webhook/connections", body);
    const project = await instance.project({ "deploy.yml": DOCUMENTED?.[1] ?? "" });
    await instance.runner();
    const runId = await instance.fire(project, NAME);
    const listens = (executions: number) =>
      instance.waitForRun(runId, (run) => {
        const { waiting, job_executions: all } = jobOf(run, "deploy");
        const done = all.filter(({ status }) => status === "succeeded");
        return waiting?.reason === "listening" && done.length === executions;
      });
    const happened = followEvents((after, options) =>
      instance.api.client.events.followRun({ id: runId, after }, options),
    );
    const killed = async () => {
      await plane.kill9();
      await plane.restart();
    };
    /** Sends it as often as it takes to have it acknowledged; the repeats are the same delivery. */
    const send = (delivery: string, payload: object) =>
      eventually(`${delivery} is acknowledged`, async () => {
        const headers = { "x-delivery-id": delivery };
        return (await call(plane.url, "POST", `/webhook/${id}`, { body: payload, headers })).status === 202;
      });

    await listens(0);
    await killed();
    await send("first", { version: "1.0" });
    // Acknowledged, and perhaps not routed.
    await killed();
    await listens(1);
    await send("second", { version: "1.1" });
    await listens(2);
    await killed();
    await send("stranger", { nothing: true });
    await send("third", { done: true });
    const run = await instance.waitForRun(runId);

    const job = jobOf(run, "deploy");
    expect(run.status).toBe("succeeded");
    expect(job).toMatchObject({ listener_status: "resolved", resolution_reason: "until", outputs: { version: "1.1" } });
    const done = job.job_executions.filter(({ status }) => status === "succeeded");
    expect(done.map(({ name }) => name)).toEqual(["deploy 1.0", "deploy 1.1"]);
    expect(done.map(({ trigger_events: events }) => events.map((event) => event.delivery_id))).toEqual([
      ["first"],
      ["second"],
    ]);
    const step = jobOf(run, "announce").job_executions[0]?.steps.at(-1);
    expect(await instance.logText(step?.id ?? "")).toContain("the last one was 1.1");

    const path = `/trigger-events?workspace_id=${instance.workspaceId}&source=releases`;
    const { trigger_events: events } = await instance.api.get(triggerEventsReplySchema, path);
    expect(events.map(({ delivery_id: delivery, outcome }) => `${delivery} ${outcome}`).toSorted()).toEqual([
      "first routed",
      "second routed",
      "stranger discarded",
      "third routed",
    ]);
    const types = (await happened).events.map(({ type }) => type);
    expect(types.filter((type) => type === "job.event_taken")).toHaveLength(2);
    expect(types.filter((type) => type === "job.resolved")).toHaveLength(1);
    expect(types.at(-1)).toBe("run.finished");
  });
});
