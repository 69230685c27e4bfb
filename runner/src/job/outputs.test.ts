import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Masker } from "../logs/masking.ts";
import { MAX_OUTPUT_VALUE_BYTES, parseOutputs } from "./outputs.ts";

const masker = new Masker();

describe("parseOutputs", () => {
  it("reads lines, blocks and the last value of a key", () => {
    const content = "a=1\r\n\r\nb<<END\nx=y\n\nz<<q\nEND\na=2=3\nc=\nd=x<<y\n";
    expect(parseOutputs(content, masker)).toEqual({
      kind: "outputs",
      outputs: { a: "2=3", b: "x=y\n\nz<<q", c: "", d: "x<<y" },
    });
  });

  it.each([
    ["no separator", "just text", "line 1: expected key=value"],
    ["a bad key", "ok=1\n1a=2", "line 2:"],
    ["a block without an end", "a<<END\nx", "is missing"],
    ["a block without a delimiter", "a<<\nx", "delimiter"],
    ["a value over its limit", `a=${"x".repeat(MAX_OUTPUT_VALUE_BYTES + 1)}`, "at most 65536"],
  ])("names the line and the fault of %s", (_what, content, message) => {
    const parsed = parseOutputs(content, masker);
    expect(parsed.kind === "invalid" && parsed.message).toContain(message);
  });

  it("gives back every value written as a block", () => {
    const key = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_-]{0,10}$/);
    const value = fc.string().filter((text) => !text.includes("\r") && !text.split("\n").includes("--end--"));
    fc.assert(
      fc.property(fc.dictionary(key, value), (outputs) => {
        const content = Object.entries(outputs)
          .map(([name, text]) => `${name}<<--end--\n${text}\n--end--\n`)
          .join("");
        expect(parseOutputs(content, masker)).toEqual({ kind: "outputs", outputs: { ...outputs } });
      }),
    );
  });

  it("never throws", () => {
    fc.assert(
      fc.property(fc.string(), (content) => {
        expect(["outputs", "invalid"]).toContain(parseOutputs(content, masker).kind);
      }),
    );
  });
});
