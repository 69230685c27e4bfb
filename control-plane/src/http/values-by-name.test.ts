import { describe, expect, it } from "vitest";
import { valuesByName } from "./values-by-name.ts";

describe("valuesByName", () => {
  it("has a text for a name that came once, and a list in the order of arrival for the others", () => {
    const values = valuesByName(new URLSearchParams("a=1&b=2&a=3&c=&a=4"));
    expect({ ...values }).toEqual({ a: ["1", "3", "4"], b: "2", c: "" });
  });

  it("takes the names of properties as names like any other", () => {
    const values = valuesByName(new URLSearchParams("__proto__=1&constructor=2&toString=3&__proto__=4"));
    expect(Object.entries(values)).toEqual([
      ["__proto__", ["1", "4"]],
      ["constructor", "2"],
      ["toString", "3"],
    ]);
  });
});
