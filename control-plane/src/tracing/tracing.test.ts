import { newId } from "@shipfox/shared/ids";
import { expect, it, onTestFinished } from "vitest";
import { EventBus } from "../events/event-bus.ts";
import { TestPlane, workflow } from "../modules/runners/test-plane.ts";
import type { RunEvent } from "../store/store.ts";
import { describeStores } from "../store/testing.ts";
import { silentLog } from "../testing/api.ts";
import { parseOtlpHeaders } from "./otlp-headers.ts";
import { OtlpReceiver } from "./otlp-receiver.fixture.ts";
import { RunTraces } from "./run-traces.ts";
import { SpanSender } from "./span-exporter.ts";
import { traceparentOf } from "./trace-ids.ts";

const JOBS = `  build:
    runner: linux
    steps: [{ run: 'true', name: compile }, { run: 'true', name: pack }]
  test:
    runner: linux
    needs: build
    steps: [{ run: 'false', name: check }]
  publish:
    runner: linux
    needs: test
    steps: [{ run: 'true' }]
`;

async function startReceiver(): Promise<OtlpReceiver> {
  const receiver = await OtlpReceiver.start();
  onTestFinished(() => receiver.close());
  return receiver;
}

function sendTo(url: string, headers: Record<string, string> = {}): SpanSender {
  return new SpanSender({ url: `${url}/v1/traces`, headers, serviceName: "ci", log: silentLog });
}

const ending = (runId: string) => ({ type: "run.finished", runId, createdAt: 0 }) as RunEvent;

describeStores("traces of runs", (open) => {
  async function tracedPlane(sender: SpanSender) {
    const bus = new EventBus();
    const store = await open({ onRunEvents: bus.publish });
    const traces = new RunTraces({ store, log: silentLog, sender });
    bus.subscribe(traces.onRunEvents);
    return { plane: await TestPlane.start(store), traces, store };
  }

  it("are the tree of a run, its jobs, their executions and steps, under the ids that the steps were told", async () => {
    const receiver = await startReceiver();
    const { plane, traces, store } = await tracedPlane(sendTo(receiver.url, { "x-key": "a b" }));
    const { sessionId } = await plane.register();
    const runId = await plane.fire(workflow(JOBS));
    await plane.work(sessionId, ({ name }) => ({ exit: name === "check" ? 1 : 0 }));
    await traces.stop();

    const build = "test > job build > execution 1";
    const test = "test > job test > execution 1";
    expect(receiver.tree()).toEqual(
      [
        "test",
        "test > job build",
        build,
        `${build} > step Set up job`,
        `${build} > step compile`,
        `${build} > step pack`,
        "test > job test",
        test,
        `${test} > step Set up job`,
        `${test} > step check`,
        "test > job publish",
      ].toSorted(),
    );
    const [attempt] = await store.readSlow<{ id: string }>("select id from run_attempts where run_id = ?", [runId]);
    const [step] = await store.readSlow<{ id: string }>("select id from steps where name = 'check'");
    const told = traceparentOf({ runAttemptId: attempt?.id ?? "", stepId: step?.id ?? "", attempt: 1 });
    const checked = receiver.spans.find(({ name }) => name === "step check");
    expect(told).toBe(`00-${checked?.traceId}-${checked?.spanId}-01`);
    expect(new Set(receiver.spans.map(({ traceId }) => traceId)).size).toBe(1);
    const attributes = new Map(checked?.attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]));
    expect(attributes.get("shipfox.step.result")).toBe("failure");
    expect(attributes.get("process.exit.code")).toBe(1);
    expect(checked?.status.code).toBe(2);
    for (const { startTimeUnixNano: start, endTimeUnixNano: end } of receiver.spans)
      expect(BigInt(end) >= BigInt(start)).toBe(true);
    expect(receiver.headers[0]).toMatchObject({ ":path": "/v1/traces", "x-key": "a b" });
    expect(receiver.resources[0]).toContainEqual({ key: "service.name", value: { stringValue: "ci" } });
    expect(traces.counts).toEqual({ sent: receiver.spans.length, failed: 0, dropped: 0 });
  });

  it("of a rerun are traces of their own, without what was carried over", async () => {
    const receiver = await startReceiver();
    const { plane, traces } = await tracedPlane(sendTo(receiver.url));
    const { sessionId } = await plane.register();
    const runId = await plane.fire(workflow(JOBS));
    await plane.work(sessionId, ({ name }) => ({ exit: name === "check" ? 1 : 0 }));
    await plane.rerun(runId, "failed");
    await plane.work(sessionId);
    await traces.stop();
    const rerun = receiver.spans.filter(({ traceId }) => traceId !== receiver.spans[0]?.traceId);
    expect(rerun.map(({ name }) => name).filter((name) => name.startsWith("job"))).toEqual(["job test", "job publish"]);
  });

  it("cost no run anything when nobody takes them; those that are lost are counted", async () => {
    const receiver = await startReceiver();
    receiver.status = 400;
    const { plane, traces, store } = await tracedPlane(sendTo(receiver.url));
    const { sessionId } = await plane.register();
    await plane.fire(workflow());
    await plane.work(sessionId);
    await expect.poll(() => traces.counts.failed, { timeout: 15_000 }).toBe(5);
    receiver.status = 200;
    const runId = await plane.fire(workflow());
    await plane.work(sessionId);
    // One that is gone, and one that never was, are no fault.
    traces.onRunEvents([ending(newId())]);
    await traces.stop();
    expect(receiver.spans.length).toBe(5);
    expect(traces.counts).toEqual({ sent: 5, failed: 5, dropped: 0 });
    const [run] = await store.readSlow<{ status: string }>("select status from runs where id = ?", [runId]);
    expect(run?.status).toBe("succeeded");
  });
});

const SPAN = { traceId: "a".repeat(32), parentId: null, name: "x", start: 1, end: 2, attributes: {}, failure: null };

it("stops well when there is no collector at all", async () => {
  const sender = sendTo("http://127.0.0.1:1");
  sender.send([{ ...SPAN, spanId: "b".repeat(16) }]);
  await sender.stop();
  expect(sender.counts).toEqual({ sent: 0, failed: 1, dropped: 0 });
}, 30_000);

it("leaves out what waits in too large a number, and counts it", async () => {
  const sent: string[] = [];
  const counts = { sent: 0, failed: 0, dropped: 0 };
  const reading = Promise.withResolvers<never[]>();
  const sender = { counts, send: () => void sent.push("run"), stop: async () => {} };
  const traces = new RunTraces({ store: { readSlow: () => reading.promise } as never, log: silentLog, sender });
  traces.onRunEvents(Array.from({ length: 1_300 }, () => ending(newId())));
  expect(counts.dropped).toBe(300);
  reading.resolve([]);
  await traces.stop();
  expect(sent).toEqual([]);

  const spans = sendTo("http://127.0.0.1:1");
  spans.send(Array.from({ length: 9_000 }, (_, index) => ({ ...SPAN, spanId: index.toString(16).padStart(16, "0") })));
  expect(spans.counts.dropped).toBe(9_000 - 8_192);
});

it("reads the headers of the standard variable, and nothing else", () => {
  expect(parseOtlpHeaders("")).toEqual({});
  expect(parseOtlpHeaders("authorization=Basic%20YWRh, x-team = a=b")).toEqual({
    authorization: "Basic YWRh",
    "x-team": "a=b",
  });
  for (const wrong of ["secret", "a b=c", "a=%zz"]) expect(parseOtlpHeaders(wrong)).toBeNull();
});
