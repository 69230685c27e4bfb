import fc from "fast-check";
import { expect, it } from "vitest";
import { canonicalLabels, isLabel, labelsSatisfy } from "./labels.ts";

it("makes one form of a label set, whatever the order, case, space and repetition", () => {
  expect(canonicalLabels([" X64", "linux", "", "x64"])).toEqual(["linux", "x64"]);
  fc.assert(
    fc.property(fc.array(fc.string()), (labels) => {
      const once = canonicalLabels(labels);
      expect(canonicalLabels([...once].reverse())).toEqual(once);
    }),
  );
});

it("takes labels of the published pattern only", () => {
  expect(["a", "9", "a.b_c-d", "x".repeat(128)].every(isLabel)).toBe(true);
  expect(["", "-a", "A", "a b", "x".repeat(129)].some(isLabel)).toBe(false);
});

it("needs all labels of a job, and lets a runner have more", () => {
  expect(labelsSatisfy(new Set(["linux", "x64", "gpu"]), ["gpu", "linux"])).toBe(true);
  expect(labelsSatisfy(new Set(["linux"]), ["gpu", "linux"])).toBe(false);
});
