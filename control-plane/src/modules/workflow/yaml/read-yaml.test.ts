import { describe, expect, it } from "vitest";
import { MAX_WORKFLOW_CHARACTERS } from "../limits.ts";
import { readYaml } from "./read-yaml.ts";

function messages(text: string): string[] {
  const result = readYaml(text);
  return result.ok ? [] : result.diagnostics.map(({ line, column, message }) => `${line}:${column} ${message}`);
}

describe("YAML as workflows use it", () => {
  it("reads yes, no, on, off and dates as text, and the number forms as numbers", () => {
    const result = readYaml("a: yes\nb: off\nc: 2026-08-21\nd: 0o17\ne: 0x1F\nf: 1e3\n1: x\ntrue: y\n");
    const value = { a: "yes", b: "off", c: "2026-08-21", d: 15, e: 31, f: 1000, 1: "x", true: "y" };
    expect(result).toMatchObject({ ok: true, value });
  });

  it("lets the keys of a mapping win over merged ones, and the first merge source over the second", () => {
    const result = readYaml("a: &a { x: 1, y: 1 }\nb: &b { y: 2, z: 2 }\nc: { <<: [*a, *b], x: 3 }\n");
    expect(result).toMatchObject({ value: { c: { x: 3, y: 1, z: 2 } } });
  });

  it("finds positions after a byte order mark and in files with CRLF", () => {
    const result = readYaml("\uFEFFa: 1\r\nb:\r\n  - c: 2\r\n");
    if (!result.ok) throw new Error("refused");
    expect(result.source.position(["b", 0, "c"], "value")).toEqual({ line: 3, column: 8 });
    expect(result.source.position(["b", 0, "nothing"], "key")).toEqual({ line: 3, column: 5 });
  });
});

describe("hostile files are refused, with a place to look at", () => {
  const bomb = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1]"];
  for (const [index, name] of "bcdefghi".split("").entries()) {
    bomb.push(`${name}: &${name} [${Array(8).fill(`*${"abcdefgh"[index]}`).join(", ")}]`);
  }

  it.each([
    ["nothing at all", "", /^1:1 the file is empty/],
    ["only a comment", "# x\n", /the file is empty/],
    ["too many characters", "a".repeat(MAX_WORKFLOW_CHARACTERS + 1), /^1:1 the workflow has 1000001 characters/],
    ["deep nesting", `a: ${"[".repeat(100)}${"]".repeat(100)}`, /at most$/],
    ["nesting that exhausts a parser", `a: ${"[".repeat(50_000)}`, /64 levels deep at most$/],
    ["aliases of aliases", bomb.join("\n"), /aliases stand for too much/],
    ["an alias in itself", "a: &a { b: *a }", /^1:12 the alias \*a stands inside its own anchor$/],
    ["501 aliases", `a: &a 1\nb:\n${"- *a\n".repeat(501)}`, /^503:3 a workflow may use at most 500 aliases$/],
    ["aliases of long text", `a: &a ${"x".repeat(100_000)}\nb:\n${"- *a\n".repeat(100)}`, /exceeds 4000000 characters/],
    ["a list as key", "[a]: b", /^1:1 keys are plain text/],
    ["a directive nobody knows", "%FOO bar\n---\na: 1\n", /directive/],
  ])("%s", (_, text, message) => {
    const [first] = messages(text);
    expect(first).toMatch(message);
  });

  it("allows 500 aliases", () => {
    expect(messages(`a: &a 1\nb:\n${"- *a\n".repeat(499)}`)).toEqual([]);
  });
});
