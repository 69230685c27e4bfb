import { describe, expect, it } from "vitest";
import { AllowedOrigins, originFault } from "./cors.ts";
import { serveApp } from "./served-app.fixture.ts";

describe("pages of other origins", () => {
  it("may call when their origin is listed, itself or as a name directly below a listed host", () => {
    const allowed = new AllowedOrigins([
      "https://app.example.com",
      "https://*.pages.example.com",
      "http://localhost:5173",
    ]);
    const verdicts = Object.fromEntries(
      [
        "https://app.example.com",
        "http://localhost:5173",
        "https://preview-7.pages.example.com",
        "https://a.b.pages.example.com",
        "https://pages.example.com",
        "http://preview-7.pages.example.com",
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "https://evil.example#.pages.example.com",
        "null",
      ].map((origin) => [origin, allowed.allows(origin)]),
    );
    expect(Object.keys(verdicts).filter((origin) => verdicts[origin])).toEqual([
      "https://app.example.com",
      "http://localhost:5173",
      "https://preview-7.pages.example.com",
    ]);
  });

  it("are not listed by mistake", () => {
    expect(originFault("https://app.example.com")).toBeNull();
    for (const origin of [
      "*",
      "https://*.com",
      "app.example.com",
      "https://a*.example.com",
      "https://app.example.com/",
    ])
      expect([origin, originFault(origin)]).not.toEqual([origin, null]);
  });

  it("are answered before anything else is asked, with the headers they may read", async () => {
    const app = await serveApp({ BROWSER_ALLOWED_ORIGIN: "https://app.example.com" });
    const preflight = (origin: string) =>
      fetch(`${app.url}/projects`, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
      });
    const mine = await preflight("https://app.example.com");
    expect([mine.status, mine.headers.get("access-control-allow-origin")]).toEqual([204, "https://app.example.com"]);
    expect(mine.headers.get("access-control-allow-credentials")).toBe("true");
    expect(mine.headers.get("access-control-allow-methods")).toContain("PATCH");
    expect((await preflight("https://evil.example")).headers.get("access-control-allow-origin")).toBeNull();
    const refused = await fetch(`${app.url}/projects`, { headers: { origin: "https://app.example.com" } });
    expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([
      401,
      "https://app.example.com",
    ]);
    expect(refused.headers.get("x-request-id")).toMatch(/^[\w-]+$/);
    await app.close();
  });
});
