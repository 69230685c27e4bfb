import { describe, expect, it } from "vitest";
import { parseInputs } from "./inputs.ts";

describe("inputs of a run", () => {
  it("takes key=text as text and key:=json as JSON", () => {
    expect({ ...parseInputs(["a=1", "b:=1", 'c:={"d":[true]}', "e=x=y:=z", "f="]) }).toEqual({
      a: "1",
      b: 1,
      c: { d: [true] },
      e: "x=y:=z",
      f: "",
    });
  });

  it("is undefined without inputs, so that the trigger's own are used", () => expect(parseInputs([])).toBeUndefined());

  it.each(["novalue", "=x", ":=1", "a:={"])("refuses %s", (pair) => {
    expect(() => parseInputs([pair])).toThrow("input");
  });

  it("refuses a key that is given twice", () => expect(() => parseInputs(["a=1", "a=2"])).toThrow("twice"));

  it("keeps a key that JavaScript finds special", () => {
    expect(JSON.stringify(parseInputs(["__proto__=x"]))).toBe('{"__proto__":"x"}');
  });
});
