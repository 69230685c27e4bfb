import type { LogRecord } from "@shipfox/shared/log-records";
import { describe, expect, it } from "vitest";
import { createClient } from "./client.ts";
import type { LogStreamItem } from "./log-stream.ts";
import { readLog } from "./read-log.ts";
import { openEventStream, StandInServer, StreamedLog } from "@shipfox/shared/stand-in-server.fixture";

const ROUTE = "GET /steps/*/attempts/1/logs/stream";

const STEP = { stepId: "step", attempt: 1 };
const output = (data: string): LogRecord => ({ v: 1, ts: 1, type: "output", stream: "stdout", data });

function follow(
  server: { url: string },
  options: { signal?: AbortSignal; silenceMs?: number; outageMs?: number } = {},
) {
  return createClient({ baseUrl: server.url }).logs.follow(STEP, options);
}

async function collect(
  stream: AsyncIterable<LogStreamItem>,
): Promise<{ records: LogRecord[]; kinds: string[]; end: unknown }> {
  const records: LogRecord[] = [];
  const kinds: string[] = [];
  let end: unknown = null;
  for await (const event of stream) {
    kinds.push(event.kind);
    if (event.kind === "records") records.push(...event.records);
    if (event.kind === "end") end = event;
  }
  return { records, kinds, end };
}

const texts = (records: readonly LogRecord[]) =>
  records.map((record) => (record.type === "output" ? record.data : record.type));

describe("following a log", () => {
  it("gives every record once and in order, and says how the log ended", async () => {
    await using server = await StandInServer.start();
    const log = new StreamedLog().add(output("a\n"), output("b\n")).add(output("c\n"));
    server.on(ROUTE, (_request, response) => {
      openEventStream(response);
      response.end(`retry: 1000\n\n:ping\n\n${log.after("0").join("")}${StreamedLog.end(true)}`);
      return undefined;
    });

    const { records, end } = await collect(follow(server));

    expect(texts(records)).toEqual(["a\n", "b\n", "c\n"]);
    expect(end).toEqual({ kind: "end", truncated: true });
    expect(server.requests[0]?.headers["last-event-id"]).toBeUndefined();
  });

  it("loses and doubles nothing when the connection is cut in the middle of every frame, at any byte", async () => {
    await using server = await StandInServer.start();
    const log = new StreamedLog();
    for (let line = 0; line < 12; line += 1) log.add(output(`line ${line} ✓ é\n`));
    let connections = 0;
    server.on(ROUTE, (request, response) => {
      openEventStream(response);
      const frames = log.after(request.headers["last-event-id"]);
      connections += 1;
      if (frames.length <= 1) {
        response.end(frames.join("") + StreamedLog.end(false));
        return undefined;
      }
      const [whole = "", next = ""] = frames;
      const torn = Buffer.from(next).subarray(0, (connections * 17) % Buffer.byteLength(next));
      response.write(Buffer.concat([Buffer.from(whole), torn]), () => response.destroy());
      return undefined;
    });

    const { records, kinds } = await collect(follow(server));

    expect(texts(records)).toEqual(Array.from({ length: 12 }, (_, line) => `line ${line} ✓ é\n`));
    expect(kinds).toContain("reconnecting");
    expect(server.seen(ROUTE)[1]?.headers["last-event-id"]).toBe(String(log.frames[0]?.end));
  }, 30_000);

  it("ignores frames that the server repeats, and shows a tombstone once although it takes no bytes", async () => {
    await using server = await StandInServer.start();
    const log = new StreamedLog().add(output("a\n")).add(output("b\n"));
    const offset = log.frames[1]?.end;
    const lost = `id: ${offset}\nevent: log\ndata: {"v":1,"ts":1,"type":"runner_lost"}\n\n`;
    let connections = 0;
    server.on(ROUTE, (_request, response) => {
      openEventStream(response);
      connections += 1;
      const all = log.after("0").join("") + lost;
      if (connections === 1) response.write(all, () => response.destroy());
      else response.end(all + StreamedLog.end(true));
      return undefined;
    });

    const { records } = await collect(follow(server));

    expect(texts(records)).toEqual(["a\n", "b\n", "runner_lost"]);
  });

  it("connects again when the server falls silent", async () => {
    await using server = await StandInServer.start();
    const log = new StreamedLog().add(output("a\n")).add(output("b\n"));
    let connections = 0;
    server.on(ROUTE, (request, response) => {
      openEventStream(response);
      connections += 1;
      if (connections === 1) response.write(log.after("0")[0]);
      else response.end(log.after(request.headers["last-event-id"]).join("") + StreamedLog.end(false));
      return undefined;
    });

    const { records } = await collect(follow(server, { silenceMs: 150 }));

    expect(texts(records)).toEqual(["a\n", "b\n"]);
    expect(connections).toBe(2);
  });

  it("tries again after a 503, and gives up at once when the server refuses", async () => {
    await using server = await StandInServer.start();
    let tries = 0;
    server.on(ROUTE, (_request, response) => {
      tries += 1;
      if (tries === 1) return { status: 503, body: { code: "shutting-down", message: "stopping" } };
      openEventStream(response);
      response.end(StreamedLog.end(false));
      return undefined;
    });
    expect((await collect(follow(server))).kinds).toEqual(["reconnecting", "connected", "end"]);

    server.on(ROUTE, { status: 404, body: { code: "not-found" } });
    await expect(collect(follow(server))).rejects.toMatchObject({ code: "not-found", status: 404 });
  });

  it("gives up after an outage", async () => {
    const server = await StandInServer.start();
    const { url } = server;
    await server[Symbol.asyncDispose]();
    await expect(collect(follow({ url }, { outageMs: 1 }))).rejects.toMatchObject({ code: "connection-failed" });
  });

  it("gives up on a server that accepts and closes without ever sending", async () => {
    await using server = await StandInServer.start();
    server.on(ROUTE, (_request, response) => {
      openEventStream(response);
      response.end();
      return undefined;
    });
    await expect(collect(follow(server, { outageMs: 300 }))).rejects.toThrow("cut again and again");
  });

  it("ends quietly when the caller stops listening", async () => {
    await using server = await StandInServer.start();
    server.on(ROUTE, (_request, response) => {
      openEventStream(response);
      response.write(":ping\n\n");
      return undefined;
    });
    const stop = new AbortController();
    const stream = follow(server, { signal: stop.signal });
    expect((await stream.next()).value).toEqual({ kind: "connected" });
    const rest = stream.next();
    stop.abort();
    expect((await rest).done).toBe(true);
  });

  it("refuses a stream that is not what the contract says", async () => {
    await using server = await StandInServer.start();
    server.on(ROUTE, (_request, response) => {
      openEventStream(response);
      response.end("event: log\ndata: {}\n\n");
      return undefined;
    });
    await expect(collect(follow(server))).rejects.toMatchObject({
      code: "unexpected-reply",
      message: expect.stringContaining("The log stream cannot be read"),
    });
  });
});

it("reads a log as far as it is written, page by page", async () => {
  await using server = await StandInServer.start();
  const page = { mode: "inline", state: "open", truncated: false };
  server.on("GET /steps/*/attempts/1/logs", ({ query }) => {
    const [isFirst, data] = query.get("cursor") === "0" ? [true, "a"] : [false, "b"];
    const ndjson = `${JSON.stringify(output(data))}\n`;
    return { body: { ...page, ndjson, next_cursor: isFirst ? 70 : 140, has_more: isFirst } };
  });
  const pages = await Array.fromAsync(readLog(createClient({ baseUrl: server.url }), STEP));
  expect(pages.map(texts)).toEqual([["a"], ["b"]]);
  expect(server.requests.map(({ query }) => query.get("cursor"))).toEqual(["0", "70"]);
});
