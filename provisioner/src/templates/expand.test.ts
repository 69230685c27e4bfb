import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { escapePart, expandFamily } from "./expand-matrix.ts";
import { merge } from "./merge.ts";

const fail = (path: readonly (string | number)[], message: string): never => {
  throw new Error(`${path.join(".")}: ${message}`);
};
const axes = fc.dictionary(
  fc.constantFrom("a", "b", "c"),
  fc.uniqueArray(
    fc.string({ minLength: 1, maxLength: 4 }).filter((text) => !text.includes("${{")),
    { minLength: 1, maxLength: 4 },
  ),
  { minKeys: 1 },
);
const fragment = fc.dictionary(
  fc.constantFrom("x", "y", "z"),
  fc.letrec((tie) => ({
    node: fc.oneof(fc.integer(), fc.array(fc.integer()), fc.dictionary(fc.constantFrom("x", "y"), tie("node"))),
  })).node,
);

describe("the templates of a matrix", () => {
  it("are as many as there are combinations, each with a key of its own", () => {
    fc.assert(
      fc.property(axes, (values) => {
        const made = expandFamily("f", { axes: values, template: {} }, {}, fail);
        expect(made).toHaveLength(Object.values(values).reduce((product, list) => product * list.length, 1));
        expect(new Set(made.map(({ key }) => key)).size).toBe(made.length);
      }),
    );
  });

  it("lose exactly the combinations that an exclusion matches", () => {
    fc.assert(
      fc.property(axes, fc.nat(), (values, index) => {
        const [axis, list] = Object.entries(values)[0] as [string, string[]];
        const gone = list[index % list.length] as string;
        const all = expandFamily("f", { axes: values, template: `\${{ ${axis} }}` }, {}, fail);
        const kept = expandFamily(
          "f",
          { axes: values, exclude: [{ [axis]: gone }], template: `\${{ ${axis} }}` },
          {},
          fail,
        );
        expect(kept).toEqual(all.filter(({ body }) => body !== gone));
      }),
    );
  });

  it("have keys whose parts can be told apart", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(unescaped(escapePart(text))).toBe(text);
      }),
    );
  });
});

describe("merging", () => {
  it("changes nothing under nothing, and keeps all that is laid over", () => {
    fc.assert(
      fc.property(fragment, fragment, (under, over) => {
        expect(merge(under, {})).toEqual(under);
        expect(merge({}, over)).toEqual(over);
        expect(merge(merge(under, over), over)).toEqual(merge(under, over));
      }),
    );
  });
});

function unescaped(text: string): string {
  return text.replaceAll("%2D", "-").replaceAll("%25", "%");
}
