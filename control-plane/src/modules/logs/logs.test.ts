import { appendFile, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { ApiError } from "@shipfox/shared/errors";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { Store } from "../../store/store.ts";
import { describeStores } from "../../store/testing.ts";
import type { Logs } from "./logs.ts";
import { endRecord, filler, openLogs, output, seedStep, seedSteps, textOf } from "./logs.fixture.ts";
import type { StreamRef } from "./model.ts";
import { readPage } from "./read-page.ts";
import { findStream } from "./store.ts";

const RUNS_OF_THE_ALGEBRA = 25;

/** Everything a reader gets, page by page. */
async function readAll(
  logs: Logs,
  stream: StreamRef,
): Promise<{ text: string; pages: number; state: string; truncated: boolean }> {
  let text = "";
  let cursor = 0;
  for (let pages = 1; ; pages += 1) {
    const page = await readPage(logs, { ...stream, found: stream }, cursor, 1);
    text += page.ndjson;
    cursor = page.next_cursor;
    if (!page.has_more) return { text, pages, state: page.state, truncated: page.truncated };
  }
}

function types(text: string): string[] {
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { type: string }).type);
}

const rowOf = (store: Store, stream: StreamRef) => store.read((tx) => findStream(tx, stream.stepId, stream.attempt));

async function refusal(promise: Promise<unknown>): Promise<ApiError> {
  const error = await promise.catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

describeStores("logs", (open) => {
  it("follow the offset algebra through repetitions, overlaps, gaps, probes and restarts", async () => {
    const store = await open();
    const { logs: first, restart } = await openLogs(store);
    // What the runner has: a spool of records of different lengths. A chunk is any run of whole ones.
    const spool = Array.from({ length: 60 }, (_, index) => output(`line ${index} ${"é".repeat((index * 37) % 500)}\n`));
    const ends = spool.reduce<number[]>((sums, record) => [...sums, (sums.at(-1) ?? 0) + record.length], []);
    const startOf = (index: number) => (index === 0 ? 0 : (ends[index - 1] as number));
    const position = fc.nat({ max: spool.length });
    const command = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ kind: fc.constant("next" as const), count: fc.integer({ min: 0, max: 6 }) }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: fc.constant("any" as const),
          from: position,
          count: fc.integer({ min: 0, max: 6 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart" as const), torn: fc.boolean() }) },
    );
    let logs = first;
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 30 }), async (commands) => {
        const stream = await seedStep(store);
        let have = 0;
        for (const step of commands) {
          if (step.kind === "restart") {
            logs = await restart();
            continue;
          }
          const from = step.kind === "next" ? have : step.from;
          const to = Math.min(spool.length, from + step.count);
          const chunk = Buffer.concat(spool.slice(from, to));
          const appending = logs.append(stream, startOf(from), chunk);
          if (chunk.length === 0 || to <= have) {
            expect(await appending).toMatchObject({ committedLength: startOf(have), capped: false });
          } else if (from === have) {
            have = to;
            expect(await appending).toMatchObject({ committedLength: startOf(have), capped: false });
          } else {
            const error = await refusal(appending);
            expect([error.code, error.status, error.details]).toEqual([
              "offset-gap",
              409,
              { committed_length: startOf(have) },
            ]);
          }
        }
        expect((await rowOf(store, stream))?.state).toBe(have > 0 ? "open" : undefined);
        if (have > 0) expect((await readAll(logs, stream)).text).toBe(Buffer.concat(spool.slice(0, have)).toString());
      }),
      { numRuns: RUNS_OF_THE_ALGEBRA },
    );
  });

  it("answer a probe with 0 and create nothing where nothing was written", async () => {
    const store = await open();
    const { logs } = await openLogs(store);
    const stream = await seedStep(store);
    expect(await logs.append(stream, 17, Buffer.alloc(0))).toMatchObject({ committedLength: 0, capped: false });
    expect(await rowOf(store, stream)).toBeUndefined();
  });

  it("refuse what is not whole records and keep nothing of it", async () => {
    const store = await open();
    const { logs } = await openLogs(store);
    const stream = await seedStep(store);
    const error = await refusal(logs.append(stream, 0, Buffer.concat([output("good"), Buffer.from("bad\n")])));
    expect([error.code, error.message]).toEqual(["malformed-log-chunk", expect.stringContaining("line 2")]);
    expect(await rowOf(store, stream)).toBeUndefined();
  });

  it("do appends that arrive at once in their order, each log for itself", async () => {
    const store = await open();
    const { logs } = await openLogs(store);
    const streams = await seedSteps(store, 8);
    const texts = await Promise.all(
      streams.map(async (stream, number) => {
        const chunks = Array.from({ length: 20 }, (_, index) => output(`${number}: ${index}\n`));
        let offset = 0;
        const answers = chunks.map((chunk) => {
          const answer = logs.append(stream, offset, chunk);
          offset += chunk.length;
          return answer;
        });
        expect((await Promise.all(answers)).at(-1)).toMatchObject({ committedLength: offset, capped: false });
        return Buffer.concat(chunks).toString();
      }),
    );
    for (const [index, stream] of streams.entries()) expect((await readAll(logs, stream)).text).toBe(texts[index]);
  });

  it("go on behind the last whole record after a crash tore the end", async () => {
    const store = await open();
    const { logs, dir, restart } = await openLogs(store);
    const stream = await seedStep(store);
    const [one, two] = [output("one\n"), output("two\n")];
    await logs.append(stream, 0, one);
    const path = join(dir, stream.workspaceId, stream.executionId, `${stream.stepId}-1.ndjson`);
    await appendFile(path, two.subarray(0, two.length - 5));

    const again = await restart();
    expect(await again.append(stream, 0, Buffer.alloc(0))).toMatchObject({
      committedLength: one.length,
      capped: false,
    });
    await again.append(stream, one.length, two);
    expect(await readFile(path, "utf8")).toBe(textOf(one, two));
  });

  it("close with an end record and answer everything later with the frozen length", async () => {
    const store = await open();
    const { logs, restart } = await openLogs(store);
    const [alone, later] = (await seedSteps(store, 2)) as [StreamRef, StreamRef];
    const whole = Buffer.concat([output("hi\n"), endRecord()]);
    await logs.append(alone, 0, whole);
    await logs.append(later, 0, output("hi\n"));
    await logs.append(later, output("hi\n").length, endRecord());
    for (const current of [logs, await restart()]) {
      for (const stream of [alone, later]) {
        expect(await rowOf(store, stream)).toMatchObject({ state: "closed", truncated: 0, length: whole.length });
        for (const [offset, chunk] of [
          [whole.length, output("late\n")],
          [999_999, output("late\n")],
          [0, whole],
          [5, Buffer.alloc(0)],
        ] as const) {
          expect(await current.append(stream, offset, chunk)).toMatchObject({
            committedLength: whole.length,
            capped: false,
          });
        }
        expect(await readAll(current, stream)).toEqual({
          text: whole.toString(),
          pages: 1,
          state: "closed",
          truncated: false,
        });
      }
    }
  });

  it("close when the end record is repeated after a crash between its bytes and the close", async () => {
    const store = await open();
    const { logs, dir, restart } = await openLogs(store);
    const stream = await seedStep(store);
    await logs.append(stream, 0, output("hi\n"));
    await appendFile(join(dir, stream.workspaceId, stream.executionId, `${stream.stepId}-1.ndjson`), endRecord());
    const again = await restart();
    await again.append(stream, output("hi\n").length, endRecord());
    expect(await rowOf(store, stream)).toMatchObject({ state: "closed", truncated: 0 });
  });

  it("give a finished attempt that printed nothing a closed and empty log", async () => {
    const store = await open();
    const { logs, clock } = await openLogs(store);
    const stream = await seedStep(store);
    await store.write((tx) => logs.closeStream(tx, stream, { truncated: false, now: clock.now() }));
    expect(await rowOf(store, stream)).toMatchObject({ state: "closed", truncated: 0 });
    expect(await logs.append(stream, 0, output("late\n"))).toMatchObject({ committedLength: 0, capped: false });
    expect(await readAll(logs, stream)).toEqual({ text: "", pages: 1, state: "closed", truncated: false });
  });

  it("tell at the end of a log that the runner gave up, and keep the first close", async () => {
    const store = await open();
    const { logs, clock, restart } = await openLogs(store);
    const stream = await seedStep(store);
    await logs.append(stream, 0, output("hi\n"));
    await store.write((tx) => logs.closeStream(tx, stream, { truncated: true, now: clock.now() }));
    await store.write((tx) => logs.closeStream(tx, stream, { truncated: false, now: clock.now() }));
    for (const current of [logs, await restart()]) {
      const { text, state, truncated } = await readAll(current, stream);
      expect([types(text), state, truncated]).toEqual([["output", "runner_lost"], "closed", true]);
    }
  });

  it("stay open when the unit that closes them is rolled back", async () => {
    const store = await open();
    const { logs, clock } = await openLogs(store);
    const stream = await seedStep(store);
    await logs.append(stream, 0, output("hi\n"));
    const unit = store.write(async (tx) => {
      await logs.closeStream(tx, stream, { truncated: true, now: clock.now() });
      throw new Error("no");
    });
    await expect(unit).rejects.toThrow("no");
    await logs.append(stream, output("hi\n").length, output("more\n"));
    expect((await readAll(logs, stream)).state).toBe("open");
  });

  it("close what is open some time after the lease ended, with the late tail, and say when the next is due", async () => {
    const store = await open();
    const { logs, clock } = await openLogs(store);
    const [early, late] = (await seedSteps(store, 2)) as [StreamRef, StreamRef];
    const other = await seedStep(store);
    for (const stream of [early, late, other]) await logs.append(stream, 0, output("hi\n"));
    expect(await logs.closeDue(clock.now())).toBeNull();

    const at = clock.now() + 120_000;
    await store.write(async (tx) => {
      await logs.scheduleClose(tx, early.executionId, { at });
      await logs.scheduleClose(tx, other.executionId, { at: at + 5 });
    });
    expect(await logs.closeDue(at - 1)).toBe(at);
    await logs.append(late, output("hi\n").length, output("tail\n"));
    await logs.append(early, output("hi\n").length, endRecord());
    expect(await logs.closeDue(at)).toBe(at + 5);
    expect(types((await readAll(logs, early)).text)).toEqual(["output", "end"]);
    expect(types((await readAll(logs, late)).text)).toEqual(["output", "output", "runner_lost"]);
    expect((await readAll(logs, other)).state).toBe("open");
    expect(await logs.closeDue(at + 5)).toBeNull();
    expect((await readAll(logs, other)).truncated).toBe(true);
  });

  it("close what is due after a restart, and where the file is gone", async () => {
    const store = await open();
    const { logs, clock, dir, restart } = await openLogs(store);
    const streams = await seedSteps(store, 70);
    await Promise.all(streams.map((stream) => logs.append(stream, 0, output("hi\n"))));
    await store.write((tx) => logs.scheduleClose(tx, (streams[0] as StreamRef).executionId, { at: clock.now() }));
    await rm(join(dir, (streams[0] as StreamRef).workspaceId), { recursive: true });
    const again = await restart();
    expect(await again.closeDue(clock.now())).toBeNull();
    for (const stream of streams) expect(await rowOf(store, stream)).toMatchObject({ state: "closed", truncated: 1 });
  });

  it("open a late log only within the grace of its lease", async () => {
    const store = await open();
    const { logs, clock, leaseEnds } = await openLogs(store);
    const [within, after] = (await seedSteps(store, 2)) as [StreamRef, StreamRef];
    leaseEnds.set(within.executionId, clock.now());
    clock.time += 119_999;
    await logs.append(within, 0, output("hi\n"));
    clock.time += 1;
    expect(await logs.append(after, 0, output("hi\n"))).toMatchObject({ committedLength: 0, capped: false });
    expect(types((await readAll(logs, after)).text)).toEqual(["runner_lost"]);
    expect(await logs.closeDue(clock.now())).toBeNull();
    expect(types((await readAll(logs, within)).text)).toEqual(["output", "runner_lost"]);
  });

  it("take a repeated append that failed half-way, without loss or repetition", async () => {
    const store = await open();
    const { logs, dir } = await openLogs(store);
    const stream = await seedStep(store);
    const [one, two] = [output("one\n"), output("two\n")];
    await logs.append(stream, 0, one);
    // The disk takes the bytes, then the database refuses the close.
    const write = store.write.bind(store);
    store.write = () => Promise.reject(new Error("the database is away"));
    await expect(logs.append(stream, one.length, Buffer.concat([two, endRecord()]))).rejects.toThrow("away");
    store.write = write;
    await logs.append(stream, one.length, Buffer.concat([two, endRecord()]));
    const path = join(dir, stream.workspaceId, stream.executionId, `${stream.stepId}-1.ndjson`);
    expect(await readFile(path, "utf8")).toBe(textOf(one, two, endRecord()));
    expect(await rowOf(store, stream)).toMatchObject({ state: "closed", truncated: 0 });
  });

  it("begin again when the first append failed", async () => {
    const store = await open();
    const { logs } = await openLogs(store);
    const stream = await seedStep(store);
    const write = store.write.bind(store);
    store.write = () => Promise.reject(new Error("the database is away"));
    await expect(logs.append(stream, 0, Buffer.concat([output("a long first try\n"), endRecord()]))).rejects.toThrow(
      "away",
    );
    store.write = write;
    expect(await logs.append(stream, 0, Buffer.alloc(0))).toMatchObject({ committedLength: 0, capped: false });
    await logs.append(stream, 0, output("hi\n"));
    expect((await readAll(logs, stream)).text).toBe(textOf(output("hi\n")));
  });

  it("begin again when the process died after the row and before the file of the first append", async () => {
    const store = await open();
    const { logs, dir, restart } = await openLogs(store);
    const stream = await seedStep(store);
    await logs.append(stream, 0, output("never acknowledged\n"));
    await rm(join(dir, stream.workspaceId), { recursive: true });
    const again = await restart();
    const first = output("hi\n");
    expect(await again.append(stream, 0, first)).toMatchObject({ committedLength: first.length });
    await again.append(stream, first.length, endRecord());
    expect((await readAll(again, stream)).text).toBe(textOf(first, endRecord()));
  });

  it("keep the append that crosses a job's budget whole and count the rest without keeping it", async () => {
    const store = await open();
    const { logs, clock, restart } = await openLogs(store, { budgetBaseBytes: 1_000, budgetPerMinuteBytes: 600 });
    const [one, two, three] = (await seedSteps(store, 3)) as [StreamRef, StreamRef, StreamRef];
    await logs.append(one, 0, filler(600));
    expect(await logs.append(two, 0, filler(600))).toMatchObject({ committedLength: 600, capped: false });
    expect(await logs.append(one, 600, filler(200))).toMatchObject({ committedLength: 800, capped: true });
    expect(await logs.append(one, 800, filler(200))).toMatchObject({ committedLength: 1_000, capped: true });
    expect(await logs.append(one, 600, filler(200))).toMatchObject({ committedLength: 1_000, capped: true });
    expect(await logs.append(three, 0, filler(200))).toMatchObject({ committedLength: 200, capped: true });
    expect(types((await readAll(logs, one)).text)).toEqual(["output", "capped"]);
    expect(types((await readAll(logs, two)).text)).toEqual(["output"]);
    expect(types((await readAll(logs, three)).text)).toEqual(["capped"]);

    // A minute later there is room again, for logs that lost nothing so far.
    clock.time += 60_000;
    expect(await logs.append(one, 1_000, filler(200))).toMatchObject({ committedLength: 1_200, capped: true });
    expect(await logs.append(two, 600, filler(200))).toMatchObject({ committedLength: 800, capped: false });

    // A restart forgets what was dropped; the runner sends it once more.
    const again = await restart();
    expect((await refusal(again.append(one, 1_200, filler(200)))).details).toEqual({ committed_length: 600 });
    expect(await again.append(one, 600, filler(800))).toMatchObject({ committedLength: 1_400, capped: true });
    expect(await again.append(two, 800, filler(300))).toMatchObject({ committedLength: 1_100, capped: false });
    expect(await again.append(two, 1_100, filler(200))).toMatchObject({ committedLength: 1_300, capped: true });
    expect(await again.append(one, 1_400, endRecord())).toMatchObject({
      committedLength: 1_400 + endRecord().length,
      capped: true,
    });
    expect(await rowOf(store, one)).toMatchObject({
      state: "closed",
      truncated: 0,
      capped: 1,
      length: 1_400 + endRecord().length,
    });
    expect(types((await readAll(again, one)).text)).toEqual(["output", "capped"]);
  });

  it("tell what is left of the budget, shared by the logs of an execution and growing with the minutes", async () => {
    const store = await open();
    const { logs, clock, restart } = await openLogs(store, { budgetBaseBytes: 1_000, budgetPerMinuteBytes: 600 });
    const [one, two] = (await seedSteps(store, 2)) as [StreamRef, StreamRef];
    const other = await seedStep(store);
    expect(await logs.append(one, 0, Buffer.alloc(0))).toMatchObject({ budgetLeftBytes: 1_000 });
    expect(await logs.append(one, 0, filler(600))).toMatchObject({ budgetLeftBytes: 400 });
    expect(await logs.append(two, 0, filler(300))).toMatchObject({ budgetLeftBytes: 100 });
    expect(await logs.append(other, 0, filler(300))).toMatchObject({ budgetLeftBytes: 700 });
    clock.time += 60_000;
    expect(await logs.append(one, 600, filler(200))).toMatchObject({ budgetLeftBytes: 500 });
    const again = await restart();
    expect(await again.append(two, 300, filler(800))).toMatchObject({ budgetLeftBytes: 0, capped: false });
    expect(await again.append(two, 1_100, filler(200))).toMatchObject({ budgetLeftBytes: 0, capped: true });
  });

  it("are read in pages of whole records, also where one record is longer than a page", async () => {
    const store = await open();
    const { logs } = await openLogs(store);
    const stream = await seedStep(store);
    const session = Buffer.from(
      `${JSON.stringify({ v: 1, ts: 1, type: "agent_session", data: "s".repeat(3 * 1024 * 1024) })}\n`,
    );
    const many = Buffer.concat(Array.from({ length: 300 }, (_, index) => output(`${index} ${"x".repeat(8_000)}`)));
    const chunks = [many, session, many];
    let offset = 0;
    for (const chunk of chunks) {
      await logs.append(stream, offset, chunk);
      offset += chunk.length;
    }
    const all = await readAll(logs, stream);
    expect(all.text === Buffer.concat(chunks).toString()).toBe(true);
    expect(all.pages).toBeGreaterThan(5);
  });

  it("show the records behind the last byte once to a reader who asks again", async () => {
    const store = await open();
    const { logs, clock } = await openLogs(store);
    const stream = await seedStep(store);
    const length = output("hi\n").length;
    await logs.append(stream, 0, output("hi\n"));
    const read = (cursor: number) => readPage(logs, { ...stream, found: stream }, cursor, 1);
    expect(await read(0)).toMatchObject({ next_cursor: length, has_more: false, state: "open" });
    await store.write((tx) => logs.closeStream(tx, stream, { truncated: true, now: clock.now() }));
    const last = await read(length);
    expect(types(last.ndjson)).toEqual(["runner_lost"]);
    expect(last).toMatchObject({ next_cursor: length + 1, has_more: false, state: "closed", truncated: true });
    expect(await read(length + 1)).toMatchObject({ ndjson: "", next_cursor: length + 1, has_more: false });
    expect((await refusal(read(5))).code).toBe("invalid-cursor");
  });
});
