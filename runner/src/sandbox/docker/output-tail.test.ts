import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { OutputTail } from "./output-tail.ts";

describe("the tail of an output", () => {
  it("is the end of all that was printed, however it was cut", () => {
    fc.assert(
      fc.property(fc.array(fc.stringMatching(/^[a-z\n]{0,30}$/)), fc.integer({ min: 1, max: 60 }), (parts, max) => {
        const tail = new OutputTail(max);
        for (const part of parts) tail.push(Buffer.from(part));
        const all = parts.join("");
        const kept = all.slice(-max);
        const [first = "", ...rest] = tail.take();
        const dropped = all.length - kept.length;
        const lines = dropped > 0 ? rest : kept === "" ? [] : [first, ...rest];
        if (dropped > 0) expect(first).toBe(`… ${dropped} bytes are left out`);
        expect(lines).toEqual(kept === "" ? [] : kept.replace(/\n$/, "").split("\n"));
        expect(tail.take()).toEqual([]);
      }),
    );
  });

  it("shows its last lines without giving them away", () => {
    const tail = new OutputTail(100);
    tail.push(Buffer.from("one\ntwo\nthree\n"));
    expect(tail.last(2)).toEqual(["two", "three"]);
    expect(tail.take()).toEqual(["one", "two", "three"]);
  });
});
