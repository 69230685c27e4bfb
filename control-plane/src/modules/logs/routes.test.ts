import { logPageSchema } from "@shipfox/shared/api/logs";
import { newId } from "@shipfox/shared/ids";
import { encodeLogRecord } from "@shipfox/shared/log-records";
import { expect, it } from "vitest";
import { describeStores } from "../../store/testing.ts";
import { endRecord, openLogs, output, seedStep } from "./logs.fixture.ts";
import { serveLogs } from "./log-server.fixture.ts";

describeStores("the log routes", (open) => {
  it("serve pages that a reader follows by their cursor until the log is closed", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { get } = await serveLogs(store, opened);
    const stream = await seedStep(store);
    const page = async (cursor: number) => logPageSchema.parse(await (await get(stream, `?cursor=${cursor}`)).json());
    expect(await page(0)).toEqual({
      mode: "inline",
      ndjson: "",
      next_cursor: 0,
      has_more: false,
      state: "open",
      truncated: false,
    });
    await opened.logs.append(stream, 0, output("hi\n"));
    const first = await page(0);
    expect(first).toMatchObject({ ndjson: output("hi\n").toString(), has_more: false, state: "open" });
    expect(await page(first.next_cursor)).toMatchObject({ ndjson: "", next_cursor: first.next_cursor, state: "open" });
    await opened.logs.append(stream, first.next_cursor, endRecord());
    expect(await page(first.next_cursor)).toMatchObject({
      ndjson: endRecord().toString(),
      has_more: false,
      state: "closed",
      truncated: false,
    });
  });

  it("hide a log from those who are no members, and what does not exist from everybody", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { get } = await serveLogs(store, opened);
    const stream = await seedStep(store);
    await opened.logs.append(stream, 0, output("secret\n"));
    for (const rest of ["", "/stream", "/raw"]) {
      for (const response of [
        await get(stream, rest, { stranger: true }),
        await get({ ...stream, stepId: newId() }, rest),
      ]) {
        expect(response.status).toBe(404);
        expect(await response.json()).toMatchObject({ code: "not-found" });
      }
    }
    expect((await get(stream, "", { headers: { authorization: "Bearer nonsense" } })).status).toBe(401);
  });

  it("have no page of an attempt that was never started, and a closed empty one of an attempt that printed nothing", async () => {
    const store = await open();
    const { get } = await serveLogs(store, await openLogs(store));
    for (const status of ["pending", "skipped"]) {
      const stream = await seedStep(store, status);
      expect([(await get(stream)).status, (await get(stream, "/raw")).status]).toEqual([404, 404]);
    }
    const finished = await seedStep(store, "succeeded");
    expect(await (await get(finished)).json()).toMatchObject({
      ndjson: "",
      has_more: false,
      state: "closed",
      truncated: false,
    });
    expect(await (await get(finished, "/raw")).text()).toBe("");
    expect((await get({ ...finished, attempt: 2 })).status).toBe(404);
  });

  it("serve what was printed as plain text, both streams in their order", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { get } = await serveLogs(store, opened);
    const stream = await seedStep(store);
    const group = Buffer.from(
      `${JSON.stringify({ v: 1, ts: 1, type: "group_start", group_id: "g", parent_group_id: null, name: "G" })}\n`,
    );
    const long = Array.from({ length: 300 }, (_, index) => output(`${index} ${"é".repeat(4_000)}\n`));
    await opened.logs.append(
      stream,
      0,
      Buffer.concat([output("out\n"), group, output("err\n", "stderr"), ...long, endRecord()]),
    );
    const response = await get(stream, "/raw");
    expect(response.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    const expected = `out\nerr\n${Array.from({ length: 300 }, (_, index) => `${index} ${"é".repeat(4_000)}\n`).join("")}`;
    expect((await response.text()) === expected).toBe(true);
    expect(response.headers.get("accept-ranges")).toBe("bytes");
  });

  it("give a part of the text for a range, the whole for one that is not understood, and 416 behind its end", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { get } = await serveLogs(store, opened);
    const stream = await seedStep(store);
    await opened.logs.append(stream, 0, Buffer.concat([output("héllo\n"), output("world\n"), endRecord()]));
    const part = async (range: string, rest: Record<string, string> = {}) => {
      const response = await get(stream, "/raw", { headers: { range, ...rest } });
      const text = Buffer.from(await response.arrayBuffer()).toString("latin1");
      return [response.status, response.headers.get("content-range"), text];
    };
    const whole = Buffer.from("héllo\nworld\n").toString("latin1");
    expect(await part("bytes=0-1")).toEqual([206, "bytes 0-1/13", whole.slice(0, 2)]);
    expect(await part("bytes=2-8")).toEqual([206, "bytes 2-8/13", whole.slice(2, 9)]);
    expect(await part("bytes=7-")).toEqual([206, "bytes 7-12/13", "world\n"]);
    expect(await part("bytes=-3")).toEqual([206, "bytes 10-12/13", "ld\n"]);
    expect(await part("bytes=5-900")).toEqual([206, "bytes 5-12/13", whole.slice(5)]);
    for (const range of ["bytes=0-1,3-4", "lines=1-2", "bytes=4-2", "bytes=-"]) {
      expect(await part(range)).toEqual([200, null, whole]);
    }
    expect(await part("bytes=0-1", { "if-range": '"1"' })).toEqual([200, null, whole]);
    const [status, range, body] = await part("bytes=13-");
    expect([status, range, JSON.parse(String(body)).code]).toEqual([416, "bytes */13", "range-not-satisfiable"]);
  });

  it("mark in the text what is missing, and why", async () => {
    const store = await open();
    const opened = await openLogs(store, { budgetBaseBytes: 1, budgetPerMinuteBytes: 0 });
    const { get } = await serveLogs(store, opened);
    const stream = await seedStep(store);
    const gap = Buffer.from(encodeLogRecord({ v: 1, ts: 1, type: "gap", dropped_bytes: 1_234_567 }));
    const kept = Buffer.concat([output("half a line"), gap, output("tail\n")]);
    await opened.logs.append(stream, 0, kept);
    await opened.logs.append(stream, kept.length, output("over the budget\n"));
    await store.write((tx) => opened.logs.closeStream(tx, stream, { truncated: true, now: opened.clock.now() }));
    expect(await (await get(stream, "/raw")).text()).toBe(
      [
        "half a line",
        "[… 1,234,567 bytes were dropped …]",
        "tail",
        "[… the log has reached its limit, what followed was not kept …]",
        "[… the runner was lost, the log ends here …]",
        "",
      ].join("\n"),
    );
  });

  it("refuse a cursor that does not stand between two records before a stream begins", async () => {
    const store = await open();
    const opened = await openLogs(store);
    const { get } = await serveLogs(store, opened);
    const stream = await seedStep(store);
    await opened.logs.append(stream, 0, output("hi\n"));
    for (const response of [
      await get(stream, "?cursor=3"),
      await get(stream, "/stream?cursor=3"),
      await get(stream, "/stream", { headers: { "last-event-id": "x" } }),
    ]) {
      expect(response.status).toBe(400);
      expect(await response.json()).toMatchObject({ code: "invalid-cursor" });
    }
    expect((await get(stream, "?cursor=-1")).status).toBe(400);
  });
});
