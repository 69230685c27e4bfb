import { expect, it } from "vitest";
import { nearest } from "./nearest.ts";

it.each([
  ["prot", "port"],
  ["ports", "port"],
  ["data-dri", "data-dir"],
  ["hots", "host"],
  ["x", null],
  ["completely-else", null],
])("takes %s for %s", (word, expected) => {
  expect(nearest(word, ["port", "host", "data-dir"])).toBe(expected);
});
