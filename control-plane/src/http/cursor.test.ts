import fc from "fast-check";
import { expect, it } from "vitest";
import { decodeCursor, encodeCursor } from "./cursor.ts";

it("reads back what it wrote", () => {
  fc.assert(
    fc.property(fc.integer(), fc.string(), (at, id) => {
      expect(decodeCursor(encodeCursor([at, id]), ["number", "string"])).toEqual([at, id]);
    }),
  );
});

it("refuses anything else as invalid-cursor", () => {
  for (const text of ["", "x", encodeCursor(["a", "b"]), encodeCursor([1]), encodeCursor([1, "a", 2])]) {
    expect(() => decodeCursor(text, ["number", "string"])).toThrow(expect.objectContaining({ code: "invalid-cursor" }));
  }
});
