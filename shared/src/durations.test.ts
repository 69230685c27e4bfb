import fc from "fast-check";
import { expect, it } from "vitest";
import { formatDuration, parseDuration } from "./durations.ts";

it.each([
  ["90s", 90_000],
  [" 15m ", 900_000],
  ["6h", 21_600_000],
  ["250ms", 250],
  ["1d", 86_400_000],
  ["2 days", null],
  ["1.5h", null],
  ["-1s", null],
  ["", null],
])("reads %j as %j", (text, expected) => {
  expect(parseDuration(text)).toBe(expected);
});

it("reads back what it writes", () => {
  fc.assert(
    fc.property(fc.nat(), (milliseconds) => {
      expect(parseDuration(formatDuration(milliseconds))).toBe(milliseconds);
    }),
  );
});
