import { ConfigError } from "@shipfox/shared/config";
import { describe, expect, it } from "vitest";
import { readConfig } from "../../config.ts";
import { allowedAddresses, isAllowed } from "./allowed-addresses.ts";

const MAIL = { SHIPFOX_SMTP_HOST: "mail.example.com", SHIPFOX_SMTP_FROM: "ci@example.com" };
const read = (env: Record<string, string>) => allowedAddresses(readConfig(env));

describe("the addresses that may sign up", () => {
  it("are all when no list is set", () => {
    expect(isAllowed(read({}), "anybody@anywhere.example")).toBe(true);
  });

  it("are those of a domain, not of domains below or around it, and single ones", () => {
    const allowed = read({ ...MAIL, ALLOWED_EMAIL_DOMAINS: "Example.com, b.example", ALLOWED_EMAILS: "eve@c.example" });
    for (const email of ["ada@example.com", "Ada@EXAMPLE.COM", "bob@b.example", "Eve@c.example"])
      expect([email, isAllowed(allowed, email)]).toEqual([email, true]);
    for (const email of [
      "ada@sub.example.com",
      "ada@notexample.com",
      "ada@example.com.evil.example",
      "example.com@evil.example",
      "mallory@c.example",
    ])
      expect([email, isAllowed(allowed, email)]).toEqual([email, false]);
  });

  it("are refused at the start when they are no domains or addresses, or when nobody would prove his address", () => {
    for (const bad of ["@example.com", "*.example.com", "ada@example.com", "localhost", "a b.example"])
      expect(() => read({ ...MAIL, ALLOWED_EMAIL_DOMAINS: bad })).toThrow(ConfigError);
    expect(() => read({ ...MAIL, ALLOWED_EMAILS: "example.com" })).toThrow(ConfigError);
    expect(() => read({ ALLOWED_EMAILS: "ada@example.com" })).toThrow(/SHIPFOX_SMTP_HOST/);
  });
});
