import { expect, it } from "vitest";
import { suggest } from "./suggest.ts";

const KEYS = ["name", "needs", "runner", "env", "image", "steps", "execution_timeout"];

it.each([
  ["nmae", "name"],
  ["Needs", "needs"],
  ["need", "needs"],
  ["runs-on", "runner"],
  ["environment", "env"],
  ["execution-timeout", "execution_timeout"],
  ["exection_timout", "execution_timeout"],
  ["xyz", undefined],
  ["n", undefined],
  ["", undefined],
  ["constructor", undefined],
  ["s".repeat(100_000), undefined],
])("%s is answered with %s", (word, expected) => {
  expect(suggest(word, KEYS)).toBe(expected);
});
