import { expect, it } from "vitest";
import { ShellsAhead } from "./shells-ahead.ts";

it("a warm container gets as many shells as the last jobs had steps, within bounds, and forgets older jobs", () => {
  const shells = new ShellsAhead();
  expect(shells.count).toBe(3);
  const counts = [1, 6, 1, 200, 1, 1, 1, 1, 1, 1, 1, 1].map((steps) => {
    shells.jobEnded(steps);
    return shells.count;
  });
  expect(counts).toEqual([2, 7, 7, 10, 10, 10, 10, 10, 10, 10, 10, 2]);
});
