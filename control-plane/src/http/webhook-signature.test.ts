import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  isHexSignature,
  isSignedWebhook,
  isWebhookSecret,
  newWebhookSecret,
  signWebhook,
} from "./webhook-signature.ts";

const NOW = 1_800_000_000_000;
const MINUTE_MS = 60_000;
const secret = newWebhookSecret(Buffer.alloc(32, 7));
const other = newWebhookSecret(Buffer.alloc(32, 8));

describe("the signature of a webhook", () => {
  const body = '{"a":1}';
  const signed = signWebhook([secret], { id: "one", atMs: NOW, body });
  const accepts = (headers: Partial<typeof signed>, text = body, now = NOW, secrets = [secret]) =>
    isSignedWebhook(secrets, headers, Buffer.from(text), now);

  it("is the one of the Standard Webhooks examples", () => {
    const headers = signWebhook(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], {
      id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
      atMs: 1_614_265_330_000,
      body: '{"test": 2432232314}',
    });
    expect(headers["webhook-signature"]).toBe("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  });

  it("holds for exactly what was signed", () => {
    expect(accepts(signed)).toBe(true);
    expect(accepts(signed, '{"a": 1}')).toBe(false);
    expect(accepts({ ...signed, "webhook-id": "two" })).toBe(false);
    expect(accepts({ ...signed, "webhook-timestamp": String(NOW / 1000 + 1) })).toBe(false);
    expect(accepts(signed, body, NOW, [other])).toBe(false);
    expect(accepts({ ...signed, "webhook-signature": `${signed["webhook-signature"]}AAAA` })).toBe(false);
  });

  it("is worth nothing five minutes later, or before", () => {
    expect(accepts(signed, body, NOW + 5 * MINUTE_MS)).toBe(true);
    expect(accepts(signed, body, NOW + 6 * MINUTE_MS)).toBe(false);
    expect(accepts(signed, body, NOW - 6 * MINUTE_MS)).toBe(false);
  });

  it("is missed when any of its headers is missing or something else", () => {
    for (const name of ["webhook-id", "webhook-timestamp", "webhook-signature"] as const) {
      for (const value of ["", "v1,", "v1,AAAA", "v2,AAAA", "-1", "1e9", "NaN", "__proto__", "x".repeat(1_000)]) {
        expect(accepts({ ...signed, [name]: value })).toBe(false);
      }
      const { [name]: _, ...rest } = signed;
      expect(accepts(rest)).toBe(false);
    }
  });

  it("holds with either of two secrets while one replaces the other", () => {
    const both = signWebhook([other, secret], { id: "one", atMs: NOW, body });
    expect([accepts(both), accepts(both, body, NOW, [other]), accepts(signed, body, NOW, [other, secret])]).toEqual([
      true,
      true,
      true,
    ]);
  });

  it("is never found by chance in other text", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), fc.string(), (id, timestamp, signature, text) => {
        const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
        expect(isSignedWebhook([secret], headers, Buffer.from(text), NOW)).toBe(false);
      }),
    );
  });

  it("needs a secret that nobody guesses", () => {
    expect(isWebhookSecret(newWebhookSecret(randomBytes(32)))).toBe(true);
    for (const text of [
      "",
      "whsec_",
      "whsec_AAAA",
      secret.slice("whsec_".length),
      `whsec_${"A".repeat(200)}`,
      "whsec_%%%",
    ]) {
      expect(isWebhookSecret(text)).toBe(false);
    }
  });
});

describe("a hex signature", () => {
  const body = Buffer.from("Hello, World!");
  const hex = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

  it("is the one of GitHub's example", () => {
    expect(isHexSignature("It's a Secret to Everybody", hex, body)).toBe(true);
  });

  it("is refused in every other form", () => {
    for (const text of ["", hex.slice(1), `${hex}00`, `sha256=${hex}`, hex.replace("7", "8"), "z".repeat(64)]) {
      expect(isHexSignature("It's a Secret to Everybody", text, body)).toBe(false);
    }
    expect(isHexSignature("another", hex, body)).toBe(false);
  });
});
