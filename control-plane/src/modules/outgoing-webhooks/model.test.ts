import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AttemptResult, checkWebhookUrl, decideAfterAttempt, MAX_ATTEMPTS } from "./model.ts";

const NOW = 1_800_000_000_000;
const HALF_DAY_MS = 12 * 3_600_000;

function faultOf(text: string, allowPrivate = false): string {
  try {
    return `accepted as ${checkWebhookUrl(text, allowPrivate)}`;
  } catch (error) {
    return (error as Error).message;
  }
}

describe("the URL of a receiver", () => {
  it.each([
    "https://hooks.example.com/a?b=c",
    "https://hooks.example.com:8443/",
    "https://8.8.8.8/",
    "https://[2606:4700::1111]/",
  ])("%s is taken", (url) => expect(checkWebhookUrl(url, false)).toBe(url));

  it.each([
    ["hooks.example.com", /no https/],
    ["ftp://hooks.example.com/", /no https/],
    ["file:///etc/passwd", /no https/],
    ["javascript:alert(1)", /no https/],
    ["http://hooks.example.com/", /not encrypted.*SHIPFOX_WEBHOOKS_ALLOW_PRIVATE/],
    ["https://user:password@hooks.example.com/", /user or a password/],
    ["https://hooks.example.com/#part", /fragment/],
    ["https://hooks.example.com:22/", /port/],
    ["https://hooks.example.com:25/", /port/],
    ["https://localhost/", /public internet.*SHIPFOX_WEBHOOKS_ALLOW_PRIVATE/],
    ["https://a.localhost./", /public internet/],
    ["https://127.0.0.1/", /public internet/],
    ["https://2130706433/", /public internet/],
    ["https://0x7f.1/", /public internet/],
    ["https://0177.0.0.1/", /public internet/],
    ["https://[::ffff:10.0.0.1]/", /public internet/],
    ["https://169.254.169.254/latest/meta-data/", /public internet/],
  ])("%s is refused", (url, why) => expect(faultOf(url)).toMatch(why));

  it("may be private and unencrypted where the operator allows it, and still no other service", () => {
    expect(faultOf("http://10.0.0.1:8080/hook", true)).toBe("accepted as http://10.0.0.1:8080/hook");
    expect(faultOf("http://10.0.0.1:22/", true)).toMatch(/port/);
  });

  it("is refused or taken, whatever the text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.webUrl()), (text) => {
        expect(faultOf(text)).not.toBe("");
      }),
    );
  });
});

describe("after an attempt", () => {
  const result = (fields: Partial<AttemptResult>): AttemptResult => ({
    responseStatus: null,
    responseExcerpt: null,
    error: null,
    durationMs: 1,
    ...fields,
  });

  it.each([200, 201, 204, 299])("a delivery answered with %i is done", (responseStatus) => {
    expect(decideAfterAttempt(result({ responseStatus }), 1, NOW, 0.5)).toEqual({ status: "succeeded", dueAt: null });
  });

  it.each([null, 100, 301, 400, 404, 410, 429, 500, 503])("one answered with %s is tried again", (responseStatus) => {
    const after = decideAfterAttempt(result({ responseStatus }), 1, NOW, 0.5);
    expect(after).toEqual({ status: "pending", dueAt: NOW + 5_000 });
  });

  it("the waits grow, over half a day in all, and then it has failed", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: MAX_ATTEMPTS, maxLength: MAX_ATTEMPTS }),
        (dice) => {
          const waits = dice.map((die, at) => {
            const after = decideAfterAttempt(result({}), at + 1, NOW, die);
            return after.dueAt === null ? null : after.dueAt - NOW;
          });
          expect(waits.at(-1)).toBeNull();
          const planned = waits.slice(0, -1) as number[];
          for (const [at, wait] of planned.entries())
            if (at > 0 && at < 7) expect(wait).toBeGreaterThan(planned[at - 1] as number);
          expect(planned.reduce((sum, wait) => sum + wait, 0)).toBeGreaterThan(HALF_DAY_MS * 0.8);
        },
      ),
    );
  });
});
