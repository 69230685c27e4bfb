import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SCENARIOS } from "./scenarios.ts";

describe("the fault suite", () => {
  it("has a test for every scenario of its table", () => {
    const files = [".", ".."].flatMap((folder) =>
      readdirSync(join(import.meta.dirname, folder))
        .filter((name) => name.endsWith(".test.ts"))
        .map((name) => join(import.meta.dirname, folder, name)),
    );
    const text = files.map((file) => readFileSync(file, "utf8")).join("\n");
    const tested = new Set([...text.matchAll(/\bfault\(\s*(\d+),/g)].map(([, number]) => Number(number)));
    expect(SCENARIOS.map(({ number }) => number).filter((number) => !tested.has(number))).toEqual([]);
  });
});
