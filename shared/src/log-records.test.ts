import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  encodeLogRecord,
  findMalformedRecord,
  inspectLogChunk,
  MAX_OUTPUT_DATA_BYTES,
  writableLogRecordSchema,
} from "./log-records.ts";

const count = fc.oneof(fc.nat(), fc.constantFrom(-1, 1.5, Number.MAX_SAFE_INTEGER, 2 ** 53, null, "7"));
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.constantFrom(
    "",
    "x".repeat(256),
    "x".repeat(257),
    "é".repeat(128),
    "€".repeat(86),
    "x".repeat(1024),
    "x".repeat(1025),
    "é".repeat(8192),
    "x".repeat(16_385),
    null,
    3,
  ),
);
const key = fc.constantFrom(
  "v",
  "ts",
  "type",
  "stream",
  "data",
  "group_id",
  "parent_group_id",
  "name",
  "total_bytes",
  "dropped_bytes",
);

/** Close to a record, mostly right: any type with any mix of values. */
const nearlyRecord = fc
  .record({
    v: fc.constantFrom(1, 1, 1, 1, 2, "1"),
    ts: fc.oneof({ weight: 4, arbitrary: fc.nat() }, count),
    type: fc.constantFrom(
      "output",
      "group_start",
      "group_end",
      "end",
      "gap",
      "agent_session",
      "capped",
      "runner_lost",
      "other",
    ),
    stream: fc.constantFrom("stdout", "stderr", "stdin"),
    data: text,
    group_id: text,
    parent_group_id: text,
    name: text,
    total_bytes: count,
    dropped_bytes: count,
    more: fc.boolean(),
  })
  .chain((record) =>
    fc.option(key, { freq: 4 }).map((removed) => (removed === null ? record : { ...record, [removed]: undefined })),
  );

const output = encodeLogRecord({ v: 1, ts: 1, type: "output", stream: "stdout", data: "hi\n" });

function isRecord(line: string): boolean {
  try {
    return writableLogRecordSchema.safeParse(JSON.parse(line)).success;
  } catch {
    return false;
  }
}

describe("the check of a log chunk", () => {
  it("agrees with the schema on every value", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          { weight: 9, arbitrary: nearlyRecord },
          fc.json().map((json) => JSON.parse(json) as unknown),
        ),
        (value) => {
          const line = Buffer.from(`${JSON.stringify(value)}\n`);
          expect(findMalformedRecord(line) === null).toBe(
            writableLogRecordSchema.safeParse(JSON.parse(line.toString())).success,
          );
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("agrees with the schema on output records, also when a few of their characters are others", () => {
    const piece = fc.constantFrom(
      '"',
      "\\",
      "\\u12",
      "\\ud800",
      "\\n",
      "\\x",
      "{",
      "}",
      ",",
      "0",
      "01",
      "-",
      " ",
      "\t",
      "é",
      "\u2028",
    );
    const edit = fc.record({ at: fc.nat(200), removed: fc.nat(2), inserted: fc.oneof(fc.constant(""), piece) });
    const data = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(piece).map((pieces) => pieces.join("")),
      fc.constant("x".repeat(17_000)),
    );
    fc.assert(
      fc.property(data, fc.nat(), fc.array(edit, { maxLength: 2 }), (text, ts, edits) => {
        const encoded = encodeLogRecord({ v: 1, ts, type: "output", stream: "stderr", data: text });
        const line = edits.reduce(
          (whole, { at, removed, inserted }) => whole.slice(0, at) + inserted + whole.slice(at + removed),
          encoded.trimEnd(),
        );
        const chunk = Buffer.from(`${line}\n`);
        if (chunk.includes(0x0d) || chunk.indexOf(0x0a) !== chunk.length - 1) return;
        expect(findMalformedRecord(chunk) === null).toBe(isRecord(chunk.toString()));
      }),
      { numRuns: 3_000 },
    );
  });

  it("writes output records as JSON does", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (data) => {
        const record = { v: 1, ts: 1, type: "output", stream: "stdout", data } as const;
        expect(encodeLogRecord(record)).toBe(`${JSON.stringify(record)}\n`);
      }),
    );
  });

  it("takes the largest output a record may hold and nothing above it, counted in bytes", () => {
    const record = (data: string) =>
      Buffer.from(encodeLogRecord({ v: 1, ts: 1, type: "output", stream: "stderr", data }));
    expect(findMalformedRecord(record("é".repeat(MAX_OUTPUT_DATA_BYTES / 2)))).toBeNull();
    expect(findMalformedRecord(record(`${"é".repeat(MAX_OUTPUT_DATA_BYTES / 2)}x`))).toContain("line 1");
  });

  it("refuses what is not whole lines of text", () => {
    expect(findMalformedRecord(Buffer.from(output.trimEnd()))).toContain("newline");
    expect(findMalformedRecord(Buffer.from(`${output}\n`))).toBe("line 2 is not JSON");
    expect(findMalformedRecord(Buffer.from(output.replace(",", ",\r")))).toContain("carriage return");
    expect(findMalformedRecord(Buffer.from(output.replace("hi", "h\xff"), "latin1"))).toContain("UTF-8");
    expect(findMalformedRecord(Buffer.from(`${output.trimEnd()},${output}`))).toBe("line 1 is not JSON");
  });

  it("refuses the tombstones that only the server makes", () => {
    expect(findMalformedRecord(Buffer.from(encodeLogRecord({ v: 1, ts: 1, type: "capped" })))).toContain("type");
    expect(findMalformedRecord(Buffer.from(encodeLogRecord({ v: 1, ts: 1, type: "runner_lost" })))).toContain("type");
  });

  it("tells a chunk that ends the log from one that does not", () => {
    const end = encodeLogRecord({ v: 1, ts: 1, type: "end", total_bytes: 3 });
    expect(inspectLogChunk(Buffer.from(output))).toEqual({ fault: null, ends: false });
    expect(inspectLogChunk(Buffer.from(output + end))).toEqual({ fault: null, ends: true });
    expect(inspectLogChunk(Buffer.alloc(0))).toEqual({ fault: null, ends: false });
  });
});
