import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decideCode, decideResend, retryAt } from "./email-challenge.ts";

const open = { sends: 1, wrong_codes: 0, sent_at: 0, expires_at: 600_000, consumed_at: null };

describe("a challenge", () => {
  it("takes the right code for ten minutes, after at most four wrong ones", () => {
    expect(decideCode(open, true, 599_999)).toBe("right");
    expect(decideCode(open, true, 600_000)).toBe("expired");
    expect(decideCode({ ...open, wrong_codes: 4 }, true, 0)).toBe("right");
    expect(decideCode({ ...open, wrong_codes: 4 }, false, 0)).toBe("wrong");
    expect(decideCode({ ...open, wrong_codes: 5 }, true, 0)).toBe("exhausted");
    expect(decideCode({ ...open, consumed_at: 1 }, true, 0)).toBe("consumed");
  });
  it("mails again after a minute, three times in all", () => {
    expect(decideResend(open, 59_999)).toBe("cooldown");
    expect(decideResend(open, 60_000)).toBe("send");
    expect(decideResend({ ...open, sends: 3 }, 60_000)).toBe("exhausted");
    expect(decideResend(open, 600_000)).toBe("expired");
  });
});

describe("retryAt", () => {
  it("never lets more than the limit into any stretch of the length", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(40), { maxLength: 200 }), fc.integer({ min: 1, max: 5 }), (gaps, limit) => {
        const rule = { withinMs: 100, limit };
        const sent: number[] = [];
        let now = 0;
        for (const gap of gaps) {
          now += gap;
          const at = retryAt(sent, rule, now);
          if (at === null) sent.push(now);
          else expect(at).toBeGreaterThan(now);
        }
        for (const start of sent) {
          expect(sent.filter((at) => at >= start && at < start + rule.withinMs).length).toBeLessThanOrEqual(limit);
        }
      }),
    );
  });
});
