import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { SCENARIOS } from "./scenarios.ts";

describe("the fault suite", () => {
  it("has a test for every scenario of its table", () => {
    const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith(".test.ts"));
    const text = files.map((name) => readFileSync(new URL(name, import.meta.url), "utf8")).join("\n");
    const tested = new Set([...text.matchAll(/\bfault\(\s*(\d+),/g)].map(([, number]) => Number(number)));
    expect(SCENARIOS.map(({ number }) => number).filter((number) => !tested.has(number))).toEqual([]);
  });
});
