import { readFile } from "node:fs/promises";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { parse } from "yaml";
import { OpenStreams } from "../http/open-streams.ts";
import { RequestCounts } from "../http/request-counts.ts";
import { serveApp } from "../http/served-app.fixture.ts";
import { DemandWaiters } from "../modules/provisioners/public.ts";
import { TestPlane, workflow } from "../modules/runners/test-plane.ts";
import { systemClock } from "../store/clock.ts";
import { describeStores } from "../store/testing.ts";
import { silentLog } from "../testing/api.ts";
import { EventCounts } from "./event-counts.ts";
import { EventLoopDelay } from "./event-loop-delay.ts";
import { readMetrics } from "./read-metrics.ts";
import { METRICS, METRICS_PREFIX } from "./table.ts";

const DEPLOY = new URL("../../../deploy/", import.meta.url);
/** What a histogram adds to its name. */
const SUFFIXES = /_(?:bucket|sum|count)$/;

const rulesSchema = z.object({
  groups: z.array(z.object({ rules: z.array(z.object({ alert: z.string(), expr: z.string() })) })),
});
const dashboardSchema = z.object({
  panels: z.array(z.object({ title: z.string(), targets: z.array(z.object({ expr: z.string() })) })),
});

/** The value behind each name with its labels, without the prefix. */
function valuesOf(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(METRICS_PREFIX.length + 1, at), Number(line.slice(at + 1))];
    }),
  );
}

/** Names without the prefix, each of which has to be a metric. */
function namesIn(expression: string): string[] {
  return [...expression.matchAll(/shipfox_control_plane_(\w+)/g)].map(([, name]) => name ?? "");
}

function isServed(name: string): boolean {
  return (
    Object.hasOwn(METRICS, name) || METRICS[name.replace(SUFFIXES, "") as keyof typeof METRICS]?.[0] === "histogram"
  );
}

describeStores("metrics", (open, harness) => {
  test("every documented metric is served, and nothing else", async () => {
    const { databaseUrl } = await harness.newPlace();
    const app = await serveApp(databaseUrl === undefined ? {} : { SHIPFOX_DATABASE_URL: databaseUrl });
    onTestFinished(() => app.close());
    await fetch(`${app.url}/healthz`);
    const text = await app.metrics();
    const served = [...text.matchAll(/^# TYPE shipfox_control_plane_(\w+) (\w+)$/gm)].map(([, name, type]) => [
      name,
      type,
    ]);
    expect(served).toEqual(Object.entries(METRICS).map(([name, [type]]) => [name, type]));
    expect(valuesOf(text).get("database_answers")).toBe(1);
    expect(valuesOf(text).get('database_bytes{part="main"}')).toBeGreaterThan(0);
    expect(valuesOf(text).get("disk_free_bytes")).toBeGreaterThan(0);
  });

  async function measuredPlane() {
    const counts = new EventCounts();
    const store = await open({ onRunEvents: counts.onRunEvents });
    const inside = await TestPlane.start(store);
    const eventLoopDelay = new EventLoopDelay();
    onTestFinished(() => eventLoopDelay.stop());
    const standing = { isGood: () => Promise.resolve(true) };
    const read = async () =>
      valuesOf(
        await readMetrics({
          config: { dataDir: inside.logFolder, databaseUrl: undefined },
          store,
          clock: systemClock,
          log: silentLog,
          dispatch: inside.dispatch,
          demandWaiters: new DemandWaiters(),
          logs: inside.dispatch.deps.logs,
          streams: new OpenStreams({ store, standing, limit: 0, log: silentLog }),
          counts,
          requests: new RequestCounts(),
          traces: null,
          eventLoopDelay,
          certificate: null,
        }),
      );
    return { inside, store, read };
  }

  test("a job is seen from the queue over its runner to its end", async () => {
    const { inside, read } = await measuredPlane();
    const queuedAt = Date.now();
    await inside.fire(workflow());
    await inside.fire(workflow());
    const waiting = await read();
    expect(waiting.get('jobs_waiting{for="runner"}')).toBe(2);
    expect(waiting.get("oldest_waiting_seconds")).toBeLessThanOrEqual((Date.now() - queuedAt) / 1_000);
    expect(waiting.get("runs_created_total")).toBe(2);
    expect(waiting.get("dispatch_wait_seconds_count")).toBe(0);

    const { sessionId } = await inside.register();
    const first = await inside.claim(sessionId);
    const running = await read();
    expect(running.get('jobs_waiting{for="runner"}')).toBe(1);
    expect(running.get('jobs_running{state="live"}')).toBe(1);
    expect(running.get("dispatch_wait_seconds_count")).toBe(1);
    expect(running.get('runners{state="busy"}')).toBe(1);

    await inside.finish(first?.executionId ?? "");
    const second = await inside.claim(sessionId);
    await inside.release(second?.fence ?? 0);
    const ended = await read();
    expect(ended.get('jobs_running{state="live"}')).toBe(0);
    expect(ended.get('runs_finished_total{status="succeeded"}')).toBe(1);
    expect(ended.get('jobs_finished_total{status="succeeded"}')).toBe(1);
    expect(ended.get('leases_ended_total{reason="finished"}')).toBe(1);
    expect(ended.get('leases_ended_total{reason="released"}')).toBe(1);
    expect(ended.get('jobs_lost_total{cause="draining"}')).toBe(1);
    expect(ended.get('runners{state="idle"}')).toBe(1);
    expect(ended.get('jobs_waiting{for="runner"}')).toBe(1);
  });

  test("a database that does not answer is told as such, and takes only its own numbers along", async () => {
    const { inside, store, read } = await measuredPlane();
    await inside.fire(workflow());
    await store.close();
    const values = await read();
    expect(values.get("database_answers")).toBe(0);
    expect(values.get("oldest_waiting_seconds")).toBeUndefined();
    expect(values.get('jobs_waiting{for="runner"}')).toBe(1);
    expect(values.get("disk_free_bytes")).toBeGreaterThan(0);
  });
});

test("requests are counted by the template of their route, so that callers cannot make up series", async () => {
  const app = await serveApp();
  onTestFinished(() => app.close());
  const before = await app.metrics();
  for (let each = 0; each < 20; each += 1) {
    await fetch(`${app.url}/no/such/${each}`);
    await fetch(`${app.url}/workflows/runs/${each}`);
  }
  const series = (text: string) =>
    Object.fromEntries([...valuesOf(text)].filter(([name]) => name.startsWith("http_requests_total")));
  expect(series(before)).toEqual({});
  expect(series(await app.metrics())).toEqual({
    'http_requests_total{route="/workflows/runs/{id}",method="GET",status="4xx"}': 20,
    'http_requests_total{route="unknown",method="any",status="4xx"}': 20,
  });
});

test("the alert rules and the dashboard name only metrics that are served, and each alert is explained", async () => {
  const rules = rulesSchema.parse(parse(await readFile(new URL("prometheus/shipfox.rules.yml", DEPLOY), "utf8")));
  const dashboard = dashboardSchema.parse(JSON.parse(await readFile(new URL("grafana/shipfox.json", DEPLOY), "utf8")));
  const alerts = rules.groups.flatMap((group) => group.rules);
  const expressions = [
    ...alerts.map(({ expr }) => expr),
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ];
  expect(expressions.flatMap(namesIn).filter((name) => !isServed(name))).toEqual([]);
  expect(dashboard.panels.filter(({ targets }) => targets.flatMap(({ expr }) => namesIn(expr)).length === 0)).toEqual(
    [],
  );
  const page = await readFile(new URL("../docs/operate.md", DEPLOY), "utf8");
  const explained = [...page.matchAll(/^\| `(Shipfox\w+)` \|/gm)].map(([, name]) => name);
  expect(explained).toEqual(alerts.map(({ alert }) => alert));
});
