import { expect, it } from "vitest";
import { hashToken, newToken, secretsEqual, tokenKind, tokenPrefix } from "./tokens.ts";

it("makes tokens of the published form, knows their kind, and shows only a prefix", () => {
  const token = newToken("mrt");
  expect(token).toMatch(/^sf_mrt_[A-Za-z0-9_-]{43}$/);
  expect(tokenKind(token)).toBe("mrt");
  expect(tokenPrefix(token)).toHaveLength(12);
  expect(hashToken(token)).toMatch(/^[0-9a-f]{64}$/);
  expect(newToken("rt")).not.toBe(newToken("rt"));
});

it("takes nothing else for a token", () => {
  for (const text of [
    "",
    "sf_mrt_short",
    `sf_xx_${"a".repeat(43)}`,
    `sf_mrt_${"a".repeat(44)}`,
    ` sf_mrt_${"a".repeat(43)}`,
  ])
    expect(tokenKind(text)).toBeNull();
});

it("compares secrets of any length", () => {
  expect(secretsEqual("a", "a")).toBe(true);
  expect(secretsEqual("a", "ab")).toBe(false);
});
