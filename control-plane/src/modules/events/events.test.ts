import { afterEach, beforeEach, expect, it } from "vitest";
import { EventBus } from "../../events/event-bus.ts";
import type { UserPrincipal } from "../../http/caller.ts";
import { OpenStreams } from "../../http/open-streams.ts";
import { endAllStreams } from "../../http/sse.ts";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { type Api, bearerOf, serveApi, silentLog, testClock } from "../../testing/api.ts";
import { eventsOf, type ReceivedEvent } from "../../testing/read-sse.ts";
import { memberAccess } from "../../testing/rows.ts";
import { Logs } from "../logs/public.ts";
import { finalStatus } from "../runs/public.ts";
import { seedRuns } from "./events.fixture.ts";
import { createEventRoutes, deleteOldRunEvents, EventFeed } from "./public.ts";

const DAY_MS = 86_400_000;
const LIMIT = 3;
const steps = { findStep: async () => null };

describeStores("events", (open) => {
  let store: Store;
  let clock: ReturnType<typeof testClock>;
  let api: Api;
  let streams: OpenStreams;
  let ada: string;
  let stranger: string;
  let workspaceId: string;
  let startRun: () => Promise<string>;
  let seeded: Awaited<ReturnType<typeof seedRuns>>;
  let runId: string;
  let tickets: Map<string, UserPrincipal>;
  let hasStanding: boolean;

  beforeEach(async () => {
    const bus = new EventBus();
    const feed = new EventFeed();
    bus.subscribe(feed.onRunEvents);
    store = await open({ onRunEvents: bus.publish });
    clock = testClock();
    hasStanding = true;
    streams = new OpenStreams({ store, standing: { isGood: async () => hasStanding }, limit: LIMIT, log: silentLog });
    tickets = new Map();
    const deps = {
      store,
      clock,
      log: silentLog,
      access: memberAccess,
      streams,
      feed,
      finalStatus,
      logs: unusedLogs(),
      steps,
    };
    api = await serveApi(createEventRoutes(deps), {
      tickets: {
        redeem: async (ticket, path) => {
          const principal = tickets.get(`${ticket} ${path}`);
          if (!principal) throw new Error("no such ticket");
          tickets.delete(`${ticket} ${path}`);
          return principal;
        },
      },
    });
    seeded = await seedRuns(store, clock);
    ({ ada, stranger, workspaceId, startRun } = seeded);
    runId = await startRun();
  });
  afterEach(async () => {
    endAllStreams();
    await api.close();
  });

  const stepStarted = (name: string, of = runId) => seeded.stepStarted(name, of);
  const finish = () => seeded.finish(runId);

  /** No step of these runs has a log. */
  function unusedLogs(): Logs {
    const settings = {
      budgetBaseBytes: 0,
      budgetPerMinuteBytes: 0,
      closeGraceMs: 0,
      archiveAfterMs: 0,
      retentionMs: 0,
    };
    return new Logs({ store, clock, log: silentLog, dir: "unused", settings, leaseEndedAt: async () => null });
  }

  async function* follow(path: string, headers: Record<string, string> = { authorization: bearerOf(ada) }) {
    const response = await fetch(api.url + path, { headers });
    if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
    yield* eventsOf(response);
  }
  const ofRun = () => `/workflows/runs/${runId}/events/stream`;
  const ofWorkspace = () => `/workspaces/${workspaceId}/events/stream`;
  const read = (path: string, headers: Record<string, string> = {}, user = ada) =>
    api.call("GET", path, { user, headers });

  it("are listed by page, oldest first, and by type", async () => {
    await stepStarted("one");
    await stepStarted("of another", await startRun());
    await stepStarted("two");
    const first = await read(`/workflows/runs/${runId}/events?limit=2`);
    expect(first.body.events.map((event: { id: number }) => event.id)).toEqual([1, 2]);
    const rest = await read(`/workflows/runs/${runId}/events?limit=2&cursor=${first.body.next_cursor}`);
    expect(rest.body).toEqual({
      events: [
        {
          id: 5,
          type: "step.started",
          run_id: runId,
          created_at: new Date(clock.now()).toISOString(),
          payload: {
            workspace_id: workspaceId,
            project_id: seeded.projectId,
            job_id: null,
            job_execution_id: null,
            step_id: null,
            name: "two",
            attempt: 1,
          },
        },
      ],
      next_cursor: null,
    });
    const typed = await read(`/workflows/runs/${runId}/events?types=run.*,job.started`);
    expect(typed.body.events.map((event: { type: string }) => event.type)).toEqual(["run.created"]);
    expect((await read(`/workflows/runs/${runId}/events?types=nothing`)).status).toBe(400);
    expect((await read(`/workflows/runs/${runId}/events`, {}, stranger)).status).toBe(404);
  });

  it("of a run stream from its first to its last, between connected and end", async () => {
    await stepStarted("before");
    const messages = follow(ofRun());
    const next = async () => (await messages.next()).value as ReceivedEvent;
    const connected = await next();
    expect([connected.event, connected.id]).toEqual(["connected", "0"]);
    expect([(await next()).event, (await next()).event]).toEqual(["run.created", "step.started"]);
    await stepStarted("of another", await startRun());
    await stepStarted("meanwhile");
    const meanwhile = await next();
    expect([meanwhile.id, meanwhile.event]).toEqual(["5", "step.started"]);
    expect(JSON.parse(meanwhile.data)).toMatchObject({ id: 5, type: "step.started", payload: { name: "meanwhile" } });
    await finish();
    expect((await next()).event).toBe("run.finished");
    const end = await next();
    expect([end.event, JSON.parse(end.data)]).toEqual([
      "end",
      expect.objectContaining({ id: 6, type: "end", run_id: runId, payload: { status: "failed" } }),
    ]);
    expect((await messages.next()).done).toBe(true);
  });

  it("go on behind the cursor of the header, else of the query, and refuse one that is none", async () => {
    await stepStarted("two");
    await finish();
    const ids = async (path: string, headers = {}) =>
      (await Array.fromAsync(follow(path, { authorization: bearerOf(ada), ...headers }))).map(({ id }) => id);
    expect(await ids(`${ofRun()}?after=1`)).toEqual(["1", "2", "3", "3"]);
    expect(await ids(`${ofRun()}?after=1`, { "last-event-id": "2" })).toEqual(["2", "3", "3"]);
    expect(await ids(`${ofRun()}?after=2&logs=true`)).toEqual(["2", "3", "3"]);
    for (const cursor of ["1~2:0", "2~1:0", "2~x:0"]) {
      expect((await read(`${ofRun()}?after=${cursor}&logs=true`)).status).toBe(400);
    }
    expect(await read(`${ofRun()}?after=4`)).toMatchObject({ status: 400, body: { code: "invalid-cursor" } });
    expect((await read(ofRun(), { "last-event-id": "x" })).status).toBe(400);
  });

  it("of a workspace stream from now on", async () => {
    const messages = follow(ofWorkspace());
    expect(((await messages.next()).value as ReceivedEvent).id).toBe("1");
    await stepStarted("now");
    expect(((await messages.next()).value as ReceivedEvent).id).toBe("2");
    expect((await read(ofWorkspace(), {}, stranger)).status).toBe(403);
  });

  it("are deleted when their time is over, the oldest first, and a cursor before them is told so", async () => {
    clock.advance(2 * DAY_MS);
    const younger = await startRun();
    await stepStarted("new", younger);
    expect(await deleteOldRunEvents(store, DAY_MS, clock.now())).toBeGreaterThan(clock.now());
    expect(await read(`${ofWorkspace()}?after=0`)).toMatchObject({
      status: 410,
      body: { code: "events-expired", details: { oldest_id: 2 } },
    });
    expect(await read(`${ofRun()}?after=0`)).toMatchObject({ status: 410, body: { details: { oldest_id: 2 } } });
    const whole = follow(`/workflows/runs/${younger}/events/stream?after=0`);
    expect([((await whole.next()).value as ReceivedEvent).event, (await whole.next()).value?.event]).toEqual([
      "connected",
      "run.created",
    ]);
  });

  it("come by a ticket, for the path it was made for, once", async () => {
    tickets.set(`t1 ${ofRun()}`, { userId: ada, refreshSessionId: null, token: null });
    await finish();
    expect((await Array.fromAsync(follow(`${ofRun()}?ticket=t1`, {}))).at(-1)?.event).toBe("end");
    await expect(Array.fromAsync(follow(`${ofRun()}?ticket=t1`, {}))).rejects.toThrow("500");
  });

  it("are read by so many streams of one user at once, no more", async () => {
    const opened = Array.from({ length: LIMIT }, () => follow(ofWorkspace()));
    for (const messages of opened) await messages.next();
    expect(await read(ofWorkspace())).toMatchObject({ status: 429, body: { code: "too-many-streams" } });
    await opened[0]?.return(undefined);
    await expect.poll(() => streams.size).toBe(LIMIT - 1);
    const again = follow(ofWorkspace());
    expect((await again.next()).value?.event).toBe("connected");
  });

  it("end at once for one who may not read them any more, and go on for the others", async () => {
    const messages = follow(ofWorkspace());
    await messages.next();
    streams.accessChanged({ userId: ada });
    await stepStarted("still");
    expect((await messages.next()).value?.event).toBe("step.started");
    await store.write((tx) => tx.run("delete from memberships"));
    streams.accessChanged({ workspaceId });
    const closed = (await messages.next()).value as ReceivedEvent;
    expect([closed.event, JSON.parse(closed.data).code]).toEqual(["closed", "forbidden"]);
    expect((await messages.next()).done).toBe(true);
    expect(streams.size).toBe(0);
  });

  it("end for one who signed out", async () => {
    const messages = follow(ofWorkspace());
    await messages.next();
    hasStanding = false;
    streams.accessChanged({ sessionId: ada });
    expect(JSON.parse((await messages.next()).value?.data ?? "{}").code).toBe("unauthorized");
  });

  it("end at once for one who signed out at the moment in which they were opened", async () => {
    hasStanding = false;
    const last = (await Array.fromAsync(follow(ofWorkspace()))).at(-1);
    expect([last?.event, JSON.parse(last?.data ?? "{}").code]).toEqual(["closed", "unauthorized"]);
    expect(streams.size).toBe(0);
  });
});
