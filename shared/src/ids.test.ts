import { expect, it } from "vitest";
import { isId, newId } from "./ids.ts";

it("makes UUIDv7 that sort by creation, also within a millisecond and when the clock goes back", () => {
  const ids = [...Array.from({ length: 10_000 }, () => newId(1_790_000_000_000)), newId(1_780_000_000_000), newId()];
  expect(ids.every(isId)).toBe(true);
  expect(ids.every((id) => id[14] === "7" && "89ab".includes(id[19] as string))).toBe(true);
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});
