import { setImmediate as turn } from "node:timers/promises";
import { encodeLogRecord } from "@shipfox/shared/log-records";
import fc from "fast-check";
import { expect, it } from "vitest";
import { build } from "../../store/build.ts";
import type { RunEvent, Store } from "../../store/store.ts";
import { describeStore, describeStores } from "../../store/testing.ts";
import { eventsOf } from "../../testing/read-sse.ts";
import type { LogPiece } from "./log-piece.ts";
import type { Logs } from "./logs.ts";
import { endRecord, filler, MIB, openLogs, output, seedStep, textOf } from "./logs.fixture.ts";
import { collect, serveLogs } from "./log-server.fixture.ts";
import { type StreamRef, streamKey } from "./model.ts";

const RUNS = 15;

async function appendAll(logs: Logs, stream: StreamRef, chunks: readonly Buffer[], from = 0): Promise<number> {
  let offset = from;
  for (const chunk of chunks) ({ committedLength: offset } = await logs.append(stream, offset, chunk));
  return offset;
}

const setStatus = (store: Store, stream: StreamRef, status: string) =>
  store.write((tx) => tx.exec(build.updateTable("steps").set({ status }).where("id", "=", stream.stepId)));
const runChanged = (logs: Logs, stream: StreamRef) => logs.onRunEvents([{ runId: stream.runId } as RunEvent]);

describeStores("following a log", (open) => {
  it("sends what was written before and what is written meanwhile, then the end", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { logs } = opened;
    const { get } = await serveLogs(store, opened);
    const stream = await seedStep(store);
    const length = await appendAll(logs, stream, [output("before\n"), output("before\n")]);
    const response = await get(stream, "/stream");
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const events = eventsOf(response);
    expect((await events.next()).value).toEqual({ event: "state", id: undefined, data: '{"state":"open"}' });
    expect((await events.next()).value).toEqual({
      event: "log",
      id: `${length}`,
      data: textOf(output("before\n"), output("before\n")).trimEnd(),
    });
    const after = await appendAll(logs, stream, [output("meanwhile\n")], length);
    expect((await events.next()).value).toEqual({
      event: "log",
      id: `${after}`,
      data: textOf(output("meanwhile\n")).trimEnd(),
    });
    await logs.append(stream, after, endRecord());
    expect((await events.next()).value).toMatchObject({ event: "log", data: textOf(endRecord()).trimEnd() });
    expect((await events.next()).value).toEqual({
      event: "state",
      id: undefined,
      data: '{"state":"end","truncated":false}',
    });
    expect((await events.next()).done).toBe(true);
  });

  it("waits for a step to start and ends with its log", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { get } = await serveLogs(store, opened);
    const stream = await seedStep(store, "pending");
    const following = get(stream, "/stream").then(collect);
    await setStatus(store, stream, "running");
    runChanged(opened.logs, stream);
    await appendAll(opened.logs, stream, [output("hi\n"), endRecord()]);
    expect(await following).toMatchObject({
      text: textOf(output("hi\n"), endRecord()),
      end: { state: "end", truncated: false },
    });
  });

  it("ends without a record for a step that is skipped while it waits", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { get } = await serveLogs(store, opened);
    const stream = await seedStep(store, "pending");
    const following = collect(await get(stream, "/stream"));
    await setStatus(store, stream, "skipped");
    runChanged(opened.logs, stream);
    expect(await following).toEqual({ text: "", ids: [], gaps: [], end: { state: "end", truncated: false } });
  });

  it("ends for a step that finishes without having printed anything", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { get } = await serveLogs(store, opened);
    const stream = await seedStep(store);
    const following = collect(await get(stream, "/stream"));
    await store.write((tx) => opened.logs.closeStream(tx, stream, { truncated: false, now: opened.clock.now() }));
    expect(await following).toEqual({ text: "", ids: [], gaps: [], end: { state: "end", truncated: false } });
  });

  it("tells of a gap before the records among which it is, and not of what only looks like one", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { get } = await serveLogs(store, opened);
    const { logs } = opened;
    const stream = await seedStep(store);
    const gap = Buffer.from(encodeLogRecord({ v: 1, ts: 1, type: "gap", dropped_bytes: 77 }));
    const chunks = [output('{"type":"gap"}'), output("gap"), gap, output("tail\n")];
    await appendAll(logs, stream, [...chunks, endRecord()]);
    const { text, gaps } = await collect(await get(stream, "/stream"));
    expect(text).toBe(textOf(...chunks, endRecord()));
    expect(gaps).toEqual([77]);
  });

  it("tells of a cap and of a lost runner once, across a reconnect between them", async () => {
    const store = await open();
    const opened = await openLogs(store, { budgetBaseBytes: 500, budgetPerMinuteBytes: 0 });
    const { get } = await serveLogs(store, opened);
    const { logs, clock } = opened;
    const stream = await seedStep(store);
    await logs.append(stream, 0, filler(600));
    const abort = new AbortController();
    const events = eventsOf(await get(stream, "/stream", { signal: abort.signal }));
    expect((await events.next()).value?.event).toBe("state");
    expect((await events.next()).value?.id).toBe("600");
    await logs.append(stream, 600, filler(200));
    expect((await events.next()).value?.data).toBe('{"state":"gap","dropped_bytes":null}');
    expect((await events.next()).value).toMatchObject({ id: "601", data: expect.stringContaining('"capped"') });
    abort.abort();

    const following = collect(await get(stream, "/stream", { headers: { "last-event-id": "601" } }));
    await logs.append(stream, 800, filler(200));
    await store.write((tx) => logs.closeStream(tx, stream, { truncated: true, now: clock.now() }));
    const { text, ids, end } = await following;
    expect(JSON.parse(text)).toMatchObject({ type: "runner_lost" });
    expect([ids, end]).toEqual([[602], { state: "end", truncated: true }]);
  });
});

describeStore("sqlite", "following a log", (open) => {
  it("gives every reader every byte once, whenever it comes and however often it reconnects", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { logs, clock } = opened;
    const { get } = await serveLogs(store, opened);
    const chunk = fc.integer({ min: 1, max: 30 });
    // Each reader breaks off after so many events, again and again, and starts when so many chunks are written.
    const reader = fc.record({ breakAfter: fc.integer({ min: 1, max: 5 }), startAt: fc.nat({ max: 30 }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(chunk, { maxLength: 30 }),
        fc.array(reader, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (sizes, readers, declared) => {
          const stream = await seedStep(store);
          let number = 0;
          const chunks = sizes.map((size) =>
            Buffer.concat(Array.from({ length: size }, () => output(`line ${number++} é\n`))),
          );
          const waiting = new Map<number, (() => void)[]>();
          const written = (count: number) => {
            for (const start of waiting.get(count) ?? []) start();
          };

          const readOnce = async ({
            breakAfter,
            startAt,
          }: {
            breakAfter: number;
            startAt: number;
          }): Promise<string> => {
            const start = Math.min(startAt, chunks.length);
            await new Promise<void>((resolve) => waiting.set(start, [...(waiting.get(start) ?? []), resolve]));
            let text = "";
            let last = "0";
            for (;;) {
              const abort = new AbortController();
              let left = breakAfter;
              for await (const { event, id, data } of eventsOf(
                await get(stream, "/stream", { headers: { "last-event-id": last }, signal: abort.signal }),
              )) {
                if (event === "state" && data.includes('"end"')) return text;
                if (event === "state") continue;
                text += `${data}\n`;
                last = id as string;
                left -= 1;
                if (left === 0) break;
              }
              abort.abort();
            }
          };

          const reading = readers.map(readOnce);
          written(0);
          let offset = 0;
          for (const [index, bytes] of chunks.entries()) {
            await logs.append(stream, offset, bytes);
            offset += bytes.length;
            written(index + 1);
            if (index % 3 === 0) await turn();
          }
          const expected = Buffer.concat(chunks).toString();
          if (declared) await logs.append(stream, offset, endRecord());
          else await store.write((tx) => logs.closeStream(tx, stream, { truncated: false, now: clock.now() }));
          for (const text of await Promise.all(reading))
            expect(text).toBe(declared ? expected + endRecord().toString() : expected);
        },
      ),
      { numRuns: RUNS },
    );
  });

  it("sends a long history to a reader who takes his time, and nothing twice where it meets the present", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { logs } = opened;
    const { get } = await serveLogs(store, opened);
    const stream = await seedStep(store);
    const block = Buffer.concat(Array.from({ length: 64 }, (_, index) => output(`${index} ${"x".repeat(16_000)}`)));
    const history = await appendAll(
      logs,
      stream,
      Array.from({ length: 12 }, () => block),
    );
    const response = await get(stream, "/stream");
    // The reader takes nothing while megabytes are written; it is far behind when it begins.
    await appendAll(logs, stream, [...Array.from({ length: 8 }, () => block), endRecord()], history);
    const { text, ids, end } = await collect(response);
    expect(end).toEqual({ state: "end", truncated: false });
    expect(text === Buffer.concat([...Array.from({ length: 20 }, () => block), endRecord()]).toString()).toBe(true);
    expect(ids).toEqual([...new Set(ids)].sort((left, right) => left - right));
    expect(ids.at(-1)).toBeGreaterThan(20 * MIB - MIB);
  });

  it("wakes the one who is behind when another joins, and keeps the other", async () => {
    const store = await open();
    const { logs } = await openLogs(store);
    const frames: string[] = [];
    const behind = { position: 0, write: () => true };
    const joining = { position: 20, write: (piece: LogPiece) => frames.push(piece.frame.toString()) > 0 };
    const woken = logs.hub.park("topic", behind);
    logs.hub.appended("topic", 10, Buffer.from("123456789\n"));
    const joined = logs.hub.park("topic", joining);
    await woken;
    logs.hub.appended("topic", 20, Buffer.from("next\n"));
    await turn();
    expect(frames).toEqual(["id: 25\nevent: log\ndata: next\n\n"]);
    logs.hub.changed("topic");
    await joined;
  });

  it("frames what arrives in one turn of the event loop once, for all readers together", async () => {
    const store = await open();
    const { logs } = await openLogs(store);
    const stream = await seedStep(store);
    const topic = streamKey(stream.stepId, stream.attempt);
    const frames = new Set<Uint8Array>();
    const followers = Array.from({ length: 100 }, () => ({
      position: 10,
      write: (piece: LogPiece) => frames.add(piece.frame).size > 0,
    }));
    const woken = followers.map((follower) => logs.hub.park(topic, follower));
    logs.hub.appended(topic, 10, output("one\n"));
    logs.hub.appended(topic, 10 + output("one\n").length, output("two\n"));
    await turn();
    const end = 10 + output("one\n").length + output("two\n").length;
    expect([...frames].map((frame) => Buffer.from(frame).toString())).toEqual([
      `id: ${end}\nevent: log\ndata: ${textOf(output("one\n"))}data: ${textOf(output("two\n"))}\n`,
    ]);
    expect(followers.every((follower) => follower.position === end)).toBe(true);
    logs.hub.changed(topic);
    await Promise.all(woken);
  });
});
