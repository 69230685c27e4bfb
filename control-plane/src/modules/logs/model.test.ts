import { describe, expect, it } from "vitest";
import { attemptWithoutLog, budgetBytes, decideAppend, type StreamState, tombstonesAfter } from "./model.ts";

const open: StreamState = {
  committed: 100,
  stored: 100,
  capped: false,
  closed: false,
  truncated: false,
  closedAt: null,
};
const closed: StreamState = { ...open, closed: true, closedAt: 7 };

describe("the offset algebra", () => {
  it.each([
    ["continues at the end", open, 100, 10, "store"],
    ["repeats the last bytes", open, 90, 10, "acknowledge"],
    ["repeats bytes in the middle", open, 10, 20, "acknowledge"],
    ["overlaps the end", open, 95, 10, "gap"],
    ["contains everything and more", open, 0, 110, "gap"],
    ["is ahead", open, 101, 10, "gap"],
    ["asks only, at the end", open, 100, 0, "acknowledge"],
    ["asks only, ahead", open, 500, 0, "acknowledge"],
    ["comes after the close, at the end", closed, 100, 10, "acknowledge"],
    ["comes after the close, ahead", closed, 500, 10, "acknowledge"],
    ["continues a capped log", { ...open, capped: true }, 100, 10, "drop"],
    ["is ahead of a capped log", { ...open, capped: true }, 101, 10, "gap"],
  ] as const)("an append that %s", (_case, stream, offset, length, decision) => {
    expect(decideAppend(stream, { offset, length, overBudget: false })).toBe(decision);
  });

  it("drops what continues a log whose job has used up its budget", () => {
    expect(decideAppend(open, { offset: 100, length: 1, overBudget: true })).toBe("drop");
    expect(decideAppend(open, { offset: 90, length: 10, overBudget: true })).toBe("acknowledge");
  });
});

it("gives a job its base at once and the rest by the minute", () => {
  const settings = { budgetBaseBytes: 1000, budgetPerMinuteBytes: 60 };
  expect(budgetBytes(settings, 0)).toBe(1000);
  expect(budgetBytes(settings, 1_500)).toBe(1001);
  expect(budgetBytes(settings, 120_000)).toBe(1120);
  expect(budgetBytes(settings, -5_000)).toBe(1000);
});

describe("the records behind the last byte", () => {
  const types = (stream: StreamState, cursor: number) =>
    tombstonesAfter(stream, cursor, 9).map(({ line, next }) => [(JSON.parse(line) as { type: string }).type, next]);

  it("are none while bytes can follow, and none after an orderly end", () => {
    expect(types(open, 100)).toEqual([]);
    expect(types(closed, 100)).toEqual([]);
  });

  it("tell once of a runner that was lost", () => {
    const lost = { ...closed, truncated: true };
    expect(types(lost, 100)).toEqual([["runner_lost", 101]]);
    expect(types(lost, 101)).toEqual([]);
  });

  it("tell of a cap while the log is open, and of the lost runner later", () => {
    expect(types({ ...open, capped: true }, 100)).toEqual([["capped", 101]]);
    const capped = { ...closed, capped: true, truncated: true };
    expect(types(capped, 101)).toEqual([["runner_lost", 102]]);
    expect(types(capped, 100)).toEqual([
      ["capped", 101],
      ["runner_lost", 102],
    ]);
    expect(types(capped, 102)).toEqual([]);
  });
});

describe("an attempt without a log", () => {
  it.each([
    ["pending", 1, 1, "not-yet"],
    ["pending", 2, 1, "finished"],
    ["running", 1, 1, "running"],
    ["running", 2, 1, "finished"],
    ["running", 1, 2, "not-yet"],
    ["succeeded", 1, 1, "finished"],
    ["succeeded", 1, 2, "never"],
    ["cancelled", 1, 1, "finished"],
    ["skipped", 1, 1, "never"],
  ] as const)(
    "of a step that is %s at attempt %i, asked for attempt %i: %s",
    (status, currentAttempt, attempt, expected) => {
      expect(attemptWithoutLog({ status, currentAttempt }, attempt)).toBe(expected);
    },
  );
});
