import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Evaluator } from "./evaluator.ts";

let evaluator: Evaluator;

beforeEach(() => {
  evaluator = new Evaluator();
});

afterEach(() => evaluator.close());

const HOSTILE = `range(0, 999, 1).all(a, range(0, 999, 1).all(b, range(0, 999, 1).all(c, true)))`;

async function text(source: string, context: unknown = {}): Promise<unknown> {
  const [result] = await evaluator.evaluate({
    context: JSON.stringify(context),
    expressions: [{ source, as: "text" }],
  });
  return result?.ok ? result.value : result?.message;
}

describe("the evaluator", () => {
  it.each([
    ["inputs.n + 1", { inputs: { n: 3 } }, "4"],
    ["inputs.n + 1.0", { inputs: { n: 3 } }, "4"],
    ["inputs.n / 2", { inputs: { n: 5 } }, "2"],
    ["inputs.n * 2", { inputs: { n: 1.5 } }, "3"],
    ["inputs.list", { inputs: { list: [1, { a: null }] } }, '[1,{"a":null}]'],
    ["inputs.missing", { inputs: {} }, "No such key: missing"],
    ["inputs.nothing", { inputs: { nothing: null } }, ""],
    ["event.__proto__", { event: {} }, "No such key: __proto__"],
    ["event.constructor", { event: {} }, "No such key: constructor"],
    ["range(1, 3, 1).map(n, string(n)).join('-')", {}, "1-2-3"],
    [`toJson(fromJson('{"a": 12345678901234567}'))`, {}, '{"a":"12345678901234567"}'],
    ["run.created_at", { run: { created_at: "2026-01-02T03:04:05.000Z" } }, "2026-01-02T03:04:05.000Z"],
    ["run.created_at.getFullYear()", { run: { created_at: "2026-01-02T03:04:05.000Z" } }, "2026"],
    ["9007199254740993", {}, "9007199254740993"],
  ])("%s over %j is %s", async (source, context, expected) => {
    expect(await text(source, context)).toBe(expected);
  });

  it("gives up an expression that takes too long, and answers the next one", async () => {
    const hostile = text(HOSTILE);
    const next = text("[1, 2].map(n, n * 2)");
    expect(await hostile).toMatch(/^expression-timeout/);
    expect(await next).toBe("[2,4]");
  });

  it("gives up a pattern that backtracks without end, and a schema with one", async () => {
    expect(await text(`'${"a".repeat(32)}b'.matches('^(a+)+$')`)).not.toBe("true");
    const declared = { x: { type: "json" as const, schema: { type: "string", pattern: "^(a+)+$" } } };
    const outputs = { written: { x: JSON.stringify(`${"a".repeat(40)}b`) }, declared };
    const refused = await new Promise((resolve, reject) => {
      const outside = <T>(_key: string, compute: () => Promise<T>): T => {
        compute().then(resolve, reject);
        return undefined as T;
      };
      evaluator.coerceIn({ outside } as never, outputs);
    });
    expect(refused).toMatchObject({ ok: false });
  });

  it("gives up an expression that takes too much memory", async () => {
    const doubling = "range(0, 999, 1).map(a, range(0, 999, 1).map(b, range(0, 999, 1)))";
    expect(await text(doubling)).toMatch(/^expression-timeout/);
  });

  it("says of each expression of several what became of it", async () => {
    const results = await evaluator.evaluate({
      context: JSON.stringify({ step: { exit_code: 3 } }),
      expressions: [
        { source: "step.exit_code == 0", as: "condition" },
        { source: "step.exit_code", as: "condition" },
        { source: "step.exit_code", as: "value" },
      ],
    });
    expect(results).toEqual([
      { ok: true, value: false },
      { ok: false, message: "its value is neither true nor false" },
      { ok: true, value: 3n },
    ]);
  });
});
