import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { logPageSchema } from "@shipfox/shared/api/logs";
import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { collect, serveLogs } from "./log-server.fixture.ts";
import { endRecord, openLogs, output, SETTINGS, seedStep, seedSteps } from "./logs.fixture.ts";
import { findStream } from "./store.ts";

const { archiveAfterMs } = SETTINGS;
const retentionMs = SETTINGS.retentionMs ?? 0;

describeStores("closed logs", (open) => {
  it("are archived some time after their end and read the same by every reader, also after a restart", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { logs, clock, dir, restart } = opened;
    const stream = await seedStep(store);
    const whole = Buffer.concat([
      ...Array.from({ length: 30_000 }, (_, index) => output(`line ${index}\n`)),
      endRecord(),
    ]);
    await logs.append(stream, 0, whole);
    const closedAt = clock.now();
    expect(await logs.keepDue(clock.now())).toBe(closedAt + archiveAfterMs);
    clock.time += archiveAfterMs;
    expect(await logs.keepDue(clock.now())).toBe(closedAt + retentionMs);
    const folder = join(dir, stream.workspaceId, stream.executionId);
    expect(await readdir(folder)).toEqual([`${stream.stepId}-1.ndjson.zst`]);

    for (const current of [logs, await restart()]) {
      const { get } = await serveLogs(store, { logs: current, clock });
      let text = "";
      for (let cursor = 0, more = true; more; ) {
        const page = logPageSchema.parse(await (await get(stream, `?cursor=${cursor}`)).json());
        text += page.ndjson;
        cursor = page.next_cursor;
        more = page.has_more;
      }
      expect(text === whole.toString()).toBe(true);
      expect((await collect(await get(stream, "/stream"))).text === whole.toString()).toBe(true);
      const half = output("line 0\n").length;
      expect((await collect(await get(stream, `/stream?cursor=${half}`))).text).toBe(whole.subarray(half).toString());
      expect((await (await get(stream, "/raw")).text()).startsWith("line 0\nline 1\n")).toBe(true);
      expect(await current.append(stream, 0, whole)).toMatchObject({ committedLength: whole.length });
    }
  });

  it("are deleted with their rows when their time is over, and only they", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { logs, clock, dir } = opened;
    const streams = await seedSteps(store, 40);
    const [still] = await seedSteps(store, 1);
    if (!still) throw new Error("no step");
    for (const stream of [...streams, still]) await logs.append(stream, 0, output("hi\n"));
    const end = clock.now();
    for (const stream of streams) await logs.append(stream, output("hi\n").length, endRecord());
    const keepAll = async () => {
      for (let next: number | null = clock.now(); next !== null && next <= clock.now(); ) {
        next = await logs.keepDue(clock.now());
      }
    };
    clock.time = end + archiveAfterMs;
    await keepAll();
    clock.time = end + retentionMs - 1;
    await keepAll();
    expect(await logs.keepDue(clock.now())).toBe(end + retentionMs);
    clock.time += 1;
    await keepAll();
    expect(await logs.keepDue(clock.now())).toBeNull();
    for (const { stepId, attempt } of streams)
      expect(await store.read((tx) => findStream(tx, stepId, attempt))).toBeUndefined();
    expect(await readdir(dir)).toEqual([still.workspaceId]);
    const { get } = await serveLogs(store, opened);
    expect(await (await get(still, "/raw")).text()).toBe("hi\n");
  });

  it("that cannot be archived do not hold up the others", async () => {
    const store = await open();
    const { logs, clock, dir } = await openLogs(store);
    const [bad, good] = await seedSteps(store, 2);
    if (!bad || !good) throw new Error("no steps");
    for (const stream of [bad, good]) await logs.append(stream, 0, Buffer.concat([output("hi\n"), endRecord()]));
    await mkdir(join(dir, bad.workspaceId, bad.executionId, `${bad.stepId}-1.ndjson.zst.new`));
    clock.time += archiveAfterMs;
    expect(await logs.keepDue(clock.now())).toBe(clock.now() + 3_600_000);
    expect(await readdir(join(dir, good.workspaceId, good.executionId))).toContain(`${good.stepId}-1.ndjson.zst`);
  });
});
