import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { ApiError } from "@shipfox/shared/errors";
import { afterEach, beforeEach, expect, it } from "vitest";
import { type ClientOptions, WebSocket } from "ws";
import { EventBus } from "../../events/event-bus.ts";
import { clientAddress } from "../../http/client-address.ts";
import { OpenStreams } from "../../http/open-streams.ts";
import { createWebSockets, type WebSocketDeps, type WebSockets } from "../../http/websocket.ts";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import { silentLog, testClock } from "../../testing/api.ts";
import { memberAccess } from "../../testing/rows.ts";
import { finalStatus } from "../runs/public.ts";
import { seedRuns } from "./events.fixture.ts";
import { createEventChannels, EventFeed } from "./public.ts";

/** Of one connection. */
const MAX_SUBSCRIPTIONS = 100;

interface Message {
  readonly type: string;
  readonly channel?: string;
  readonly id?: number;
  readonly code?: string;
  readonly last_event_id?: number;
  readonly payload?: Record<string, unknown>;
}

describeStores("a WebSocket", (open) => {
  let store: Store;
  let streams: OpenStreams;
  let seeded: Awaited<ReturnType<typeof seedRuns>>;
  let server: Server;
  let webSockets: WebSockets | undefined;
  /** Serves from now on with these in the place of what is usual. */
  let serve: (given?: Partial<WebSocketDeps>) => void;
  let url: string;
  let clients: Client[];
  /** What happens between the look-up of rights, of a ticket or a channel, and its use. */
  let inBetween: () => Promise<void>;
  let hasStanding: boolean;
  let lookUps: number;

  beforeEach(async () => {
    const bus = new EventBus();
    const feed = new EventFeed();
    bus.subscribe(feed.onRunEvents);
    store = await open({ onRunEvents: bus.publish });
    const clock = testClock();
    seeded = await seedRuns(store, clock);
    const isGood = async () => {
      lookUps += 1;
      return hasStanding;
    };
    streams = new OpenStreams({ store, standing: { isGood }, limit: 2, log: silentLog });
    const access = memberAccess;
    const channels = createEventChannels({ store, clock, log: silentLog, access, feed, finalStatus });
    inBetween = async () => {};
    hasStanding = true;
    lookUps = 0;
    const deps: WebSocketDeps = {
      tickets: {
        redeem: async (ticket, path) => {
          if (ticket !== seeded.ada || path !== "/ws") throw new ApiError("unauthorized");
          await inBetween();
          return { userId: seeded.ada, refreshSessionId: null, token: null };
        },
      },
      streams,
      channels: {
        open: async (...given) => {
          const opened = await channels.open(...given);
          await inBetween();
          return opened;
        },
      },
      origins: { allows: (origin) => origin === "https://ours.example.com" },
      clientAddress: clientAddress(false),
      accessLog: null,
      log: silentLog,
    };
    serve = (given = {}) => {
      webSockets?.close();
      webSockets = createWebSockets({ ...deps, ...given });
      server.removeAllListeners("upgrade").on("upgrade", webSockets.onUpgrade);
    };
    server = createServer();
    serve();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
    clients = [];
  });
  afterEach(async () => {
    for (const client of clients) client.socket.terminate();
    webSockets?.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  class Client {
    readonly socket: WebSocket;
    readonly closed: Promise<number>;
    /** The numbers of all events that came. */
    readonly eventIds: number[] = [];
    readonly #messages: Message[] = [];
    #arrived: () => void = () => {};

    constructor(options: ClientOptions = {}) {
      this.socket = new WebSocket(`${url}/ws`, options);
      clients.push(this);
      this.closed = new Promise((resolve) => this.socket.once("close", resolve));
      this.socket.on("message", (data: Buffer) => {
        const message = JSON.parse(data.toString()) as Message;
        if (message.type === "step.started") this.eventIds.push(message.id ?? 0);
        this.#messages.push(message);
        this.#arrived();
      });
    }

    say(message: object | string): void {
      this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
    }

    async next(): Promise<Message> {
      while (this.#messages.length === 0) await new Promise<void>((resolve) => (this.#arrived = resolve));
      return this.#messages.shift() as Message;
    }

    async ask(message: object): Promise<Message> {
      this.say(message);
      return await this.next();
    }
  }

  async function connect(options: ClientOptions = {}): Promise<Client> {
    const client = new Client(options);
    await once(client.socket, "open");
    return client;
  }

  async function signIn(): Promise<Client> {
    const client = await connect();
    expect(await client.ask({ type: "auth", ticket: seeded.ada })).toEqual({ type: "authenticated" });
    return client;
  }

  it("brings the events of the channels that were subscribed to, from a cursor or from now on, and the end of a run", async () => {
    const runId = await seeded.startRun();
    const client = await signIn();
    const [workspace, run, runners] = [
      `workspace:${seeded.workspaceId}`,
      `run:${runId}`,
      `runners:${seeded.workspaceId}`,
    ];
    expect(await client.ask({ type: "subscribe", channel: runners })).toEqual({
      type: "subscribed",
      channel: runners,
      last_event_id: 1,
    });
    expect((await client.ask({ type: "subscribe", channel: run })).last_event_id).toBe(0);
    expect(await client.next()).toMatchObject({ channel: run, id: 1, type: "run.created", run_id: runId });
    expect((await client.ask({ type: "subscribe", channel: workspace, after: 0 })).type).toBe("subscribed");
    expect(await client.next()).toMatchObject({ channel: workspace, id: 1, type: "run.created" });

    await seeded.runnerHealthy();
    const told = [await client.next(), await client.next()];
    expect(told.map((message) => `${message.channel} ${message.id}`).sort()).toEqual([
      `${runners} 2`,
      `${workspace} 2`,
    ]);
    expect(await client.ask({ type: "unsubscribe", channel: workspace })).toEqual({
      type: "unsubscribed",
      channel: workspace,
    });
    await seeded.finish(runId);
    expect(await client.next()).toMatchObject({ channel: run, id: 3, type: "run.finished" });
    expect(await client.next()).toMatchObject({ channel: run, type: "end", payload: { status: "failed" } });
    // The run's subscription is over, so that it can be made again.
    expect((await client.ask({ type: "subscribe", channel: run, after: 2 })).type).toBe("subscribed");
  });

  it("answers what it cannot do, and goes on", async () => {
    const client = await signIn();
    const channel = `workspace:${seeded.workspaceId}`;
    await client.ask({ type: "subscribe", channel });
    const codes = [
      await client.ask({ type: "subscribe", channel }),
      await client.ask({ type: "subscribe", channel: "nothing:1" }),
      await client.ask({ type: "subscribe", channel: `run:${seeded.ada}` }),
      await client.ask({ type: "subscribe", channel: `workspace:${seeded.ada}` }),
      await client.ask({ type: "subscribe", channel: `runners:${seeded.workspaceId}`, after: 99 }),
      await client.ask({ type: "unsubscribe", channel: "nothing:1" }),
      await client.ask({ type: "sing" }),
    ].map((message) => `${message.type} ${message.code}`);
    expect(codes).toEqual([
      "error validation-error",
      "error validation-error",
      "error not-found",
      "error forbidden",
      "error invalid-cursor",
      "error not-found",
      "error validation-error",
    ]);
    client.say("not json");
    expect((await client.next()).code).toBe("invalid-json-body");
  });

  it("is closed for one who shows no good ticket first, sends too much, or has too many streams", async () => {
    const impatient = await connect();
    expect((await impatient.ask({ type: "subscribe", channel: "x" })).code).toBe("unauthorized");
    expect(await impatient.closed).toBe(4401);
    const wrong = await connect();
    expect((await wrong.ask({ type: "auth", ticket: "no" })).code).toBe("unauthorized");
    expect(await wrong.closed).toBe(4401);
    const talkative = await signIn();
    talkative.say("x".repeat(64 * 1024 + 1));
    expect(await talkative.closed).toBe(1009);
    await expect.poll(() => streams.size).toBe(0);
    await signIn();
    await signIn();
    const third = await connect();
    expect((await third.ask({ type: "auth", ticket: seeded.ada })).code).toBe("too-many-streams");
    expect(await third.closed).toBe(4429);
  });

  it("is closed for one who does not say in time who it is", async () => {
    const silent = await connect();
    expect(await silent.closed).toBe(4401);
  });

  it("takes a hundred subscriptions of one client, and not one more", async () => {
    const client = await signIn();
    const runs: string[] = [];
    while (runs.length <= MAX_SUBSCRIPTIONS) runs.push(await seeded.startRun());
    const subscribe = (runId: string | undefined) =>
      client.ask({ type: "subscribe", channel: `run:${runId}`, after: runs.length });
    for (const runId of runs.slice(0, MAX_SUBSCRIPTIONS)) expect((await subscribe(runId)).type).toBe("subscribed");
    expect(await subscribe(runs.at(-1))).toMatchObject({ type: "error", code: "validation-error" });
    await client.ask({ type: "unsubscribe", channel: `run:${runs[0]}` });
    expect((await subscribe(runs.at(-1))).type).toBe("subscribed");
  });

  it("is refused to pages of other origins and on other paths", async () => {
    const refused = async (path: string, origin?: string) => {
      const socket = new WebSocket(url + path, origin === undefined ? {} : { origin });
      const [error] = (await once(socket, "error")) as [Error];
      return error.message;
    };
    expect(await refused("/ws", "https://evil.example.com")).toContain("403");
    expect(await refused("/other")).toContain("404");
    const ours = new WebSocket(`${url}/ws`, { origin: "https://ours.example.com" });
    await once(ours, "open");
    ours.terminate();
  });

  it("ends the subscriptions of one who may not read them any more", async () => {
    const client = await signIn();
    const channel = `workspace:${seeded.workspaceId}`;
    await client.ask({ type: "subscribe", channel });
    await store.write((tx) => tx.run("delete from memberships"));
    streams.accessChanged({ userId: seeded.ada });
    expect(await client.next()).toMatchObject({ type: "error", channel, code: "forbidden" });
    expect((await client.ask({ type: "unsubscribe", channel })).code).toBe("not-found");
  });

  it("is closed for one who signs out while his ticket is looked up", async () => {
    inBetween = async () => {
      hasStanding = false;
      streams.accessChanged({ userId: seeded.ada });
    };
    const client = await signIn();
    expect(await client.next()).toMatchObject({ type: "error", code: "unauthorized" });
    expect(await client.closed).toBe(4401);
  });

  it("ends the subscription of one whose rights go while it is made, and no other", async () => {
    const client = await signIn();
    inBetween = async () => {
      await store.write((tx) => tx.run("delete from memberships"));
      const before = lookUps;
      streams.accessChanged({ userId: seeded.ada });
      await expect.poll(() => lookUps).toBeGreaterThan(before);
      await store.read((tx) => tx.get("select 1 as one"));
    };
    const channel = `workspace:${seeded.workspaceId}`;
    expect((await client.ask({ type: "subscribe", channel })).type).toBe("subscribed");
    expect(await client.next()).toMatchObject({ type: "error", channel, code: "forbidden" });
    expect((await client.ask({ type: "unsubscribe", channel })).code).toBe("not-found");
  });

  it("is closed for one who does not answer a ping, and for nobody else", async () => {
    serve({ pingEveryMs: 50 });
    const [silent, awake] = [await connect({ autoPong: false }), await signIn()];
    expect(await silent.closed).toBe(1006);
    for (let pings = 0; pings < 3; pings += 1) await once(awake.socket, "ping");
    expect(awake.socket.readyState).toBe(WebSocket.OPEN);
  });

  it("is closed for one who does not read, while others go on; he goes on from his cursor, without a loss or a double", async () => {
    const [slow, quick] = [await signIn(), await signIn()];
    const channel = `workspace:${seeded.workspaceId}`;
    for (const client of [slow, quick]) await client.ask({ type: "subscribe", channel });
    const runId = await seeded.startRun();
    await slow.next();
    slow.socket.pause();
    const name = "x".repeat(512 * 1024);
    for (let sent = 0; sent < 40; sent += 1) {
      await seeded.stepStarted(name, runId);
      if (sent === 0) await quick.next();
      await quick.next();
    }
    slow.socket.resume();
    expect([4408, 1006]).toContain(await slow.closed);
    expect(quick.socket.readyState).toBe(WebSocket.OPEN);
    expect(slow.eventIds.length).toBeLessThan(quick.eventIds.length);
    const again = await signIn();
    const after = slow.eventIds.at(-1) ?? (quick.eventIds[0] ?? 0) - 1;
    await again.ask({ type: "subscribe", channel, after });
    while (again.eventIds.at(-1) !== quick.eventIds.at(-1)) await again.next();
    expect([...slow.eventIds, ...again.eventIds]).toEqual(quick.eventIds);
  });
});
