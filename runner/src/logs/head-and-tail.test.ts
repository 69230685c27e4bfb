import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeLogRecords, type LogRecord } from "@shipfox/shared/log-records";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LogCommands } from "./commands.ts";
import { LogFramer } from "./framing.ts";
import { HeadAndTail } from "./head-and-tail.ts";
import { Masker } from "./masking.ts";
import { Spool } from "./spool.ts";

const IDENTITY = { job_id: "job", step_id: "11111111-1111-7111-8111-111111111111", attempt: 1, lease_token: "lease" };
const RUNS = 60;

let root: string;
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), "shipfox-tail-"))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** A log whose control plane is the test: it takes what `take` says and no more. */
function openLog(options: { budgetBytes: number; spoolMaxBytes?: number }) {
  const spool = Spool.create(root, IDENTITY, { maxBytes: options.spoolMaxBytes, segmentBytes: 4_096 });
  const kept = new HeadAndTail({ spool, budgetBytes: options.budgetBytes, onDiskFault: () => {} });
  const framer = new LogFramer({
    commands: new LogCommands(() => {}),
    masker: new Masker(),
    emit: (record) => (record.record.type === "end" ? kept.end(record) : kept.append(record)),
  });
  let received = "";
  const take = (maxBytes: number) => {
    for (let left = maxBytes; left > 0; ) {
      const records = spool.read(received.length, Math.min(left, 4_096));
      if (records.length === 0) return;
      received += records.toString("latin1");
      spool.acknowledge(received.length);
      left -= records.length;
    }
  };
  const finish = () => {
    framer.end();
    take(Number.MAX_SAFE_INTEGER);
    spool.remove();
    return decodeLogRecords(Buffer.from(received, "latin1").toString());
  };
  return { spool, kept, take, finish, print: (text: string) => framer.write("stdout", Buffer.from(text)) };
}

const numberedLine = (index: number) => `line ${index} ${"x".repeat(index % 90)}\n`;
const sizeOf = (records: readonly LogRecord[]) =>
  records.reduce((sum, record) => sum + (record.type === "output" ? Buffer.byteLength(record.data) : 0), 0);
const dropped = (records: readonly LogRecord[]) =>
  records.reduce((sum, record) => sum + (record.type === "gap" ? record.dropped_bytes : 0), 0);
const numbersOf = (records: readonly LogRecord[]) =>
  records.flatMap((record) => (record.type === "output" ? [Number(record.data.split(" ")[1])] : []));

function expectNested(records: readonly LogRecord[]): void {
  const open: string[] = [];
  for (const record of records) {
    if (record.type === "group_start") {
      expect(record.parent_group_id).toBe(open.at(-1) ?? null);
      open.push(record.group_id);
    }
    if (record.type === "group_end") expect(open.pop()).toBe(record.group_id);
  }
  expect(open).toEqual([]);
}

describe("HeadAndTail", () => {
  it("keeps head and tail of a log over its budget, with the exact number of bytes between them", () => {
    const budgetBytes = 64 * 1024;
    const { print, take, finish, spool } = openLog({ budgetBytes });
    for (let index = 0; index < 20_000; index += 1) {
      print(numberedLine(index));
      if (index % 100 === 0) take(Number.MAX_SAFE_INTEGER);
    }
    const records = finish();
    expect(spool.end).toBeLessThanOrEqual(budgetBytes);
    expect(spool.end).toBeGreaterThan(budgetBytes * 0.85);
    const gap = records.findIndex(({ type }) => type === "gap");
    expect(records.filter(({ type }) => type === "gap")).toHaveLength(1);
    expect(numbersOf(records)[0]).toBe(0);
    expect(numbersOf(records).at(-1)).toBe(19_999);
    expect(numbersOf(records.slice(gap)).length).toBeGreaterThan(10);
    expect(records.at(-1)).toMatchObject({ type: "end", total_bytes: sizeOf(records) + dropped(records) });
  });

  it("keeps everything of a log that just fits", () => {
    const { print, finish } = openLog({ budgetBytes: 64 * 1024 });
    for (let index = 0; index < 400; index += 1) print(numberedLine(index));
    const records = finish();
    expect(dropped(records)).toBe(0);
    expect(numbersOf(records)).toEqual(Array.from({ length: 400 }, (_, index) => index));
  });

  it("keeps to the spool's bound while the control plane is away, and goes on after it", () => {
    const spoolMaxBytes = 128 * 1024;
    const { print, take, finish, spool } = openLog({ budgetBytes: Number.POSITIVE_INFINITY, spoolMaxBytes });
    for (let index = 0; index < 5_000; index += 1) {
      print(numberedLine(index));
      expect(spool.unacknowledgedBytes).toBeLessThanOrEqual(spoolMaxBytes);
    }
    take(Number.MAX_SAFE_INTEGER);
    for (let index = 5_000; index < 5_500; index += 1) {
      print(numberedLine(index));
      take(Number.MAX_SAFE_INTEGER);
    }
    const records = finish();
    expect(records.filter(({ type }) => type === "gap")).toHaveLength(1);
    expect(numbersOf(records).slice(-501)).toEqual(Array.from({ length: 501 }, (_, index) => index + 4_999));
    expect(records.at(-1)).toMatchObject({ type: "end", total_bytes: sizeOf(records) + dropped(records) });
  });

  it("shows the groups as they were on both sides of what was dropped", () => {
    const { print, finish } = openLog({ budgetBytes: 32 * 1024 });
    print("::group::before\n");
    const many = "x".repeat(99) + "\n";
    for (let index = 0; index < 1_000; index += 1) print(many);
    print("::endgroup::\n::group::within\n::group::deeper\n");
    for (let index = 0; index < 1_000; index += 1) print(many);
    print("::endgroup::\n");
    const records = finish();
    expectNested(records);
    expect(
      records
        .filter(({ type }) => type !== "output")
        .map((record) => [record.type, "name" in record ? record.name : ""]),
    ).toEqual([
      ["group_start", "before"],
      ["group_end", ""],
      ["gap", ""],
      ["group_start", "within"],
      ["group_start", "deeper"],
      ["group_end", ""],
      ["group_end", ""],
      ["end", ""],
    ]);
  });

  it("accounts for every byte, whatever the budget, the outages and the groups", () => {
    const command = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ kind: fc.constant("print" as const), lines: fc.integer({ min: 1, max: 400 }) }),
      },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("group" as const), opens: fc.boolean() }) },
      {
        weight: 2,
        arbitrary: fc.record({ kind: fc.constant("take" as const), bytes: fc.integer({ min: 1, max: 80_000 }) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant("budget" as const), more: fc.integer({ min: 0, max: 50_000 }) }),
      },
    );
    const limits = fc.record({
      budgetBytes: fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.constant(Number.POSITIVE_INFINITY)),
      spoolMaxBytes: fc.integer({ min: 8_000, max: 100_000 }),
    });
    fc.assert(
      fc.property(limits, fc.array(command, { maxLength: 25 }), (options, commands) => {
        const { print, take, finish, kept, spool } = openLog(options);
        let { budgetBytes } = options;
        let printed = 0;
        let payload = 0;
        for (const step of commands) {
          if (step.kind === "take") take(step.bytes);
          else if (step.kind === "group") print(step.opens ? "::group::g\n" : "::endgroup::\n");
          else if (step.kind === "budget") kept.setBudget((budgetBytes += step.more));
          else {
            for (let line = 0; line < step.lines; line += 1, printed += 1) {
              payload += numberedLine(printed).length;
              print(numberedLine(printed));
              expect(spool.unacknowledgedBytes).toBeLessThanOrEqual(options.spoolMaxBytes);
            }
          }
        }
        const records = finish();
        expectNested(records);
        const numbers = numbersOf(records);
        expect(numbers).toEqual(numbers.toSorted((left, right) => left - right));
        expect(new Set(numbers).size).toBe(numbers.length);
        expect(sizeOf(records) + dropped(records)).toBe(payload);
        expect(records.at(-1)).toMatchObject({ type: "end", total_bytes: payload });
      }),
      { numRuns: RUNS },
    );
  });
});
