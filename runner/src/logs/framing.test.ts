import {
  decodeLogRecords,
  findMalformedRecord,
  type LogRecord,
  MAX_OUTPUT_DATA_BYTES,
} from "@shipfox/shared/log-records";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LogCommands, type LogRemark } from "./commands.ts";
import { LogFramer } from "./framing.ts";
import { Masker } from "./masking.ts";

const NOW = 1_700_000_000_000;

function newFramer(secrets: readonly string[] = []) {
  const masker = new Masker();
  for (const secret of secrets) masker.add(secret);
  const encoded: string[] = [];
  const remarks: LogRemark[] = [];
  const framer = new LogFramer({
    masker,
    commands: new LogCommands((remark) => remarks.push(remark)),
    emit: (record) => void encoded.push(record.encoded),
    now: () => NOW,
  });
  return { framer, remarks, ndjson: () => encoded.join(""), records: () => decodeLogRecords(encoded.join("")) };
}

function frame(chunks: readonly Uint8Array[], secrets: readonly string[] = []) {
  const target = newFramer(secrets);
  for (const chunk of chunks) target.framer.write("stdout", chunk);
  target.framer.end();
  return target;
}

const bytes = (text: string) => Buffer.from(text);
const textOf = (records: readonly LogRecord[]) =>
  records.map((record) => (record.type === "output" ? record.data : "")).join("");
const shapes = (records: readonly LogRecord[]) =>
  records.map((record) => {
    if (record.type === "output") return record.data;
    if (record.type === "group_start") return `>${record.name}`;
    return record.type;
  });

describe("LogFramer", () => {
  it("makes one record a line and ends with the number of payload bytes", () => {
    const { records } = frame([bytes("one\n\ntwo")]);
    expect(records()).toEqual([
      { v: 1, ts: NOW, type: "output", stream: "stdout", data: "one\n" },
      { v: 1, ts: NOW, type: "output", stream: "stdout", data: "\n" },
      { v: 1, ts: NOW, type: "output", stream: "stdout", data: "two" },
      { v: 1, ts: NOW, type: "end", total_bytes: 8 },
    ]);
  });

  it("gives the same valid records wherever the output is cut", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "\n",
        "::group::build\n",
        "::endgroup::\n",
        "::error file=a::b\n",
        "::stop-commands::token-1\n",
        "::token-1::\n",
        "\r\n",
        "secret-value",
        "é",
        "😀",
        "x".repeat(20_000),
      ),
      fc.string({ unit: "binary" }),
    );
    const output = fc.oneof(
      fc.array(piece, { maxLength: 20 }).map((parts) => Buffer.from(parts.join(""))),
      fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array)),
    );
    fc.assert(
      fc.property(output, fc.array(fc.nat(), { maxLength: 10 }), (whole, cuts) => {
        const positions = [
          0,
          ...cuts.map((cut) => cut % (whole.length + 1)).sort((left, right) => left - right),
          whole.length,
        ];
        const chunks = positions.slice(1).map((end, index) => whole.subarray(positions[index], end));
        const cut = frame(chunks, ["secret-value"]);
        const uncut = frame([whole], ["secret-value"]);
        expect(cut.ndjson()).toBe(uncut.ndjson());
        expect(cut.remarks).toEqual(uncut.remarks);
        expect(findMalformedRecord(Buffer.from(cut.ndjson()))).toBeNull();
        expect(cut.ndjson()).not.toContain("secret-value");
      }),
    );
  });

  it("splits a line over 16 KiB without cutting a character and without losing any", () => {
    const line = "aé😀".repeat(9_000);
    const { records } = frame([bytes(`${line}\n`)]);
    expect(textOf(records())).toBe(`${line}\n`);
    for (const record of records())
      if (record.type === "output") expect(Buffer.byteLength(record.data)).toBeLessThanOrEqual(MAX_OUTPUT_DATA_BYTES);
  });

  it("turns markers into nested groups and closes what the step left open", () => {
    const { records } = frame([
      bytes("::group::outer\n::group::inner\nx\n::endgroup::\n::endgroup::\n::endgroup::\n::group::open\ny\n"),
    ]);
    expect(shapes(records())).toEqual([
      ">outer",
      ">inner",
      "x\n",
      "group_end",
      "group_end",
      ">open",
      "y\n",
      "group_end",
      "end",
    ]);
    expect(records()[1]).toMatchObject({ group_id: "g2", parent_group_id: "g1" });
  });

  it("keeps the lines of remarks, and reads neither them nor markers while commands are stopped", () => {
    const text = "::error::one\n::stop-commands::token-1\n::group::a\n::error::two\n::token-1::\n::group::b\n";
    const { records, remarks } = frame([bytes(text)]);
    expect(remarks.map(({ message }) => message)).toEqual(["one"]);
    expect(textOf(records())).toBe(text.replace("::group::b\n", ""));
    expect(records().filter((record) => record.type === "group_start")).toMatchObject([{ name: "b" }]);
  });

  it("flattens groups deeper than 32", () => {
    const { records } = frame([bytes(`${"::group::g\n".repeat(40)}${"::endgroup::\n".repeat(40)}`)]);
    expect(records().filter((record) => record.type === "group_start")).toHaveLength(32);
    expect(records().filter((record) => record.type === "group_end")).toHaveLength(32);
  });

  it("shows an unfinished line when asked, but not what could become a marker", () => {
    const { framer, records } = newFramer();
    framer.write("stdout", bytes("Continue? [y/n] "));
    framer.write("stderr", bytes("::gro"));
    framer.flushPartial();
    expect(shapes(records())).toEqual(["Continue? [y/n] "]);
    framer.write("stderr", bytes("up::later\n"));
    expect(shapes(records())).toEqual(["Continue? [y/n] ", ">later"]);
  });

  it("starts its own lines on a line of their own, masked", () => {
    const { framer, records } = newFramer(["hunter2"]);
    framer.write("stdout", bytes("no newline"));
    framer.flush();
    framer.line("failed with hunter2", "stderr");
    expect(textOf(records())).toBe("no newline\nfailed with ***\n");
  });
});
