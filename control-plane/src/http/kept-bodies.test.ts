import { describe, expect, it } from "vitest";
import { KeptBodies } from "./kept-bodies.ts";

const KIBIBYTE = 1024;
const body = (text: string, bytes = KIBIBYTE) => Buffer.alloc(bytes, text);

describe("bodies that are kept", () => {
  it("are those asked for last, within the bound", () => {
    const kept = new KeptBodies<number>(20 * KIBIBYTE);
    for (let index = 0; index < 10; index += 1) kept.set(`${index}`, body(`${index}`), index);
    expect(kept.get("0")).toMatchObject({ facts: 0, bytes: body("0") });
    for (let index = 10; index < 14; index += 1) kept.set(`${index}`, body(`${index}`), index);
    expect(kept.get("0")?.facts).toBe(0);
    expect(kept.get("1")).toBeUndefined();
    expect(kept.get("13")?.facts).toBe(13);
  });

  it("replace each other under one key, and one that is too large is not kept", () => {
    const kept = new KeptBodies<null>(16 * KIBIBYTE);
    for (let round = 0; round < 100; round += 1) kept.set("same", body(`${round % 10}`), null);
    kept.set("other", body("x"), null);
    expect(kept.get("same")?.bytes).toEqual(body("9"));
    expect(kept.get("other")).toBeDefined();
    kept.set("same", body("x", 3 * KIBIBYTE), null);
    expect(kept.get("same")).toBeUndefined();
    expect(kept.get("other")).toBeDefined();
  });
});
