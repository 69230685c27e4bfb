import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Masker } from "./masking.ts";

const SECRET = "sf_rt_s3cr3t-Value/with+signs=and spaces";

function maskerOf(...secrets: string[]): Masker {
  const masker = new Masker();
  for (const secret of secrets) masker.add(secret);
  return masker;
}

function maskInChunks(masker: Masker, text: string, cuts: readonly number[]): string {
  const stream = masker.stream();
  const positions = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((left, right) => left - right), text.length];
  let output = "";
  for (let index = 1; index < positions.length; index += 1)
    output += stream.push(text.slice(positions[index - 1], positions[index]));
  return output + stream.flush();
}

describe("Masker", () => {
  it.each([
    ["as it is", SECRET],
    ["percent-encoded", encodeURIComponent(SECRET)],
    ["as hex", Buffer.from(SECRET).toString("hex")],
    ["as upper-case hex", Buffer.from(SECRET).toString("hex").toUpperCase()],
  ])("hides a secret %s", (_form, printed) => {
    expect(maskerOf(SECRET).mask(`before ${printed} after`)).toBe("before *** after");
  });

  it.each([0, 1, 2, 3, 4])("hides a secret inside base64 that starts %i bytes earlier", (unknownBytes) => {
    for (const encoding of ["base64", "base64url"] as const) {
      const encoded = Buffer.from(`${"user:".slice(0, unknownBytes)}${SECRET}tail`).toString(encoding);
      const masked = maskerOf(SECRET).mask(encoded);
      expect(masked).toContain("***");
      expect(masked.length).toBeLessThan(encoded.length / 2);
    }
  });

  it("hides every line of a secret of several lines", () => {
    const key = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2EAAAADAQ\nBBBBB3NzaC1yc2EAAAADAQ\n-----END KEY-----";
    expect(maskerOf(key).mask("x BBBBB3NzaC1yc2EAAAADAQ y")).toBe("x *** y");
    expect(maskerOf(key).mask(`x ${key} y`)).toBe("x *** y");
  });

  it("gives the same result wherever the text is cut", () => {
    const masker = maskerOf("abcab", "abcabcx", "bca", "c\nab");
    const text = fc
      .array(fc.constantFrom("a", "b", "c", "x", "\n", "abcab"), { maxLength: 60 })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, fc.array(fc.nat(), { maxLength: 12 }), (printed, cuts) => {
        expect(maskInChunks(masker, printed, cuts)).toBe(masker.mask(printed));
      }),
    );
  });

  it("never lets a secret through, at any cut", () => {
    const masker = maskerOf(SECRET);
    const forms = [SECRET, encodeURIComponent(SECRET), Buffer.from(SECRET).toString("base64").slice(0, -2)];
    fc.assert(
      fc.property(
        fc.string(),
        fc.constantFrom(...forms),
        fc.string(),
        fc.array(fc.nat(), { maxLength: 20 }),
        (head, form, tail, cuts) => {
          expect(maskInChunks(masker, head + form + tail, cuts)).not.toContain(form);
        },
      ),
    );
  });

  it("holds back only what could become a secret", () => {
    const stream = maskerOf("secret").stream();
    expect(stream.push("plain se")).toBe("plain ");
    expect(stream.push("t")).toBe("set");
    expect(stream.isHolding()).toBe(false);
  });

  it("hides a secret that was added while its beginning was held back by another", () => {
    const masker = maskerOf("token-one");
    const stream = masker.stream();
    expect(stream.push("token-")).toBe("");
    masker.add("token-two");
    expect(stream.push("two!")).toBe("***!");
  });
});
