import { newId } from "@shipfox/shared/ids";
import { newToken } from "@shipfox/shared/tokens";
import { describe, expect, it } from "vitest";
import { newRefreshToken, sessionIdOf } from "./refresh-token.ts";

describe("refresh token", () => {
  it("has the published form, is another one each time and names its session", () => {
    const sessionId = newId();
    const [first, second] = [newRefreshToken(sessionId), newRefreshToken(sessionId)];
    expect(first).toMatch(/^sf_r_[A-Za-z0-9_-]{43}$/);
    expect(first).not.toBe(second);
    expect([sessionIdOf(first), sessionIdOf(second)]).toEqual([sessionId, sessionId]);
  });

  it.each(["", "sf_r_", newToken("mrt"), "sf_r_!", "x".repeat(10_000)])("takes nothing else for one: %s", (text) => {
    expect(sessionIdOf(text)).toBeNull();
  });
});
