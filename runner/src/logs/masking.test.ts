import { execFileSync } from "node:child_process";
import { MIN_MASKED_CHARS } from "@shipfox/shared/api/scoped-values";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Masker, MAX_SECRET_CHARS } from "./masking.ts";

const SECRET = "sf_rt_s3cr3t-Value/with+signs=and 'q' \"Q\" spaces";

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

/** What programs in steps do with a secret before they print it. */
const ENCODINGS: Record<string, (secret: string) => string> = {
  plain: (secret) => secret,
  base64: (secret) => Buffer.from(secret).toString("base64"),
  base64url: (secret) => Buffer.from(secret).toString("base64url"),
  "lower-case hex": (secret) => Buffer.from(secret).toString("hex"),
  "upper-case hex": (secret) => Buffer.from(secret).toString("hex").toUpperCase(),
  "URL component": (secret) => encodeURIComponent(secret),
  "form field": (secret) => new URLSearchParams({ a: secret }).toString().slice("a=".length),
  JSON: (secret) => JSON.stringify(secret).slice(1, -1),
  "JSON as Go prints it": (secret) =>
    JSON.stringify(secret)
      .slice(1, -1)
      .replaceAll("<", "\\u003c")
      .replaceAll(">", "\\u003e")
      .replaceAll("&", "\\u0026"),
  "single-quoted for a shell": (secret) => secret.replaceAll("'", `'\\''`),
  "double-quoted for a shell": (secret) => secret.replaceAll(/["$`\\]/g, (character) => `\\${character}`),
};

/** The characters a secret and its forms are made of, apart from each other in ordinary text. */
const secretText = fc
  .array(fc.constantFrom(...("aZ09_-/+=.,:;!?'\"\\$`<>&%#@ ~{}[]()é😀".match(/./gu) ?? [])), {
    minLength: 8,
    maxLength: 40,
  })
  .map((characters) => `k${characters.join("")}Q`);
const cuts = fc.array(fc.nat(), { maxLength: 20 });

describe("Masker", () => {
  it.each(Object.entries(ENCODINGS))("hides a secret as %s", (_name, encode) => {
    const printed = encode(SECRET);
    const masked = maskerOf(SECRET).mask(`before ${printed} after`);
    expect(masked).toMatch(/^before \*\*\*[\w=+/-]{0,3} after$/);
  });

  it("never shows a secret, in any encoding, wherever the text is cut", () => {
    fc.assert(
      fc.property(
        secretText,
        fc.constantFrom(...Object.values(ENCODINGS)),
        fc.string(),
        fc.string(),
        cuts,
        (secret, encode, head, tail, positions) => {
          const printed = encode(secret);
          const masked = maskInChunks(maskerOf(secret), `${head}|${printed}|${tail}`, positions);
          expect(masked).not.toContain(secret);
          // At most what bits of neighbours share may stay of the encoded form.
          expect(masked.length).toBeLessThanOrEqual(head.length + tail.length + 2 + "***".length + 4);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("gives the same result at each cut, of every position", () => {
    const masker = maskerOf(SECRET, "spaces and more");
    const text = `x ${SECRET}${SECRET} ${ENCODINGS["base64"]?.(SECRET)} spaces and more!\n`;
    const whole = masker.mask(text);
    expect(whole).not.toContain("s3cr3t");
    for (let cut = 0; cut <= text.length; cut += 1) expect(maskInChunks(masker, text, [cut])).toBe(whole);
  });

  it("gives the same result wherever the text is cut, also where secrets overlap", () => {
    const masker = maskerOf("abcabc", "abcabcxx", "bcabca", "cababc\nabcxab");
    const text = fc
      .array(fc.constantFrom("a", "b", "c", "x", "\n", "abcab", "abcabc"), { maxLength: 60 })
      .map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, cuts, (printed, positions) => {
        const masked = maskInChunks(masker, printed, positions);
        expect(masked).toBe(masker.mask(printed));
        for (const secret of ["abcabc", "bcabca", "cababc", "abcxab"]) expect(masked).not.toContain(secret);
      }),
    );
  });

  it.each([0, 1, 2, 3, 4])("hides a secret inside base64 that starts %i bytes earlier", (unknownBytes) => {
    for (const encoding of ["base64", "base64url"] as const) {
      const encoded = Buffer.from(`${"user:".slice(0, unknownBytes)}${SECRET}tail`).toString(encoding);
      const masked = maskerOf(SECRET).mask(encoded);
      expect(masked).toContain("***");
      expect(masked.length).toBeLessThan(20);
    }
  });

  it("hides what real tools print of a key of several lines", () => {
    const line = (letter: string) => letter.repeat(20) + "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSj" + letter;
    const key = `-----BEGIN KEY-----\n${line("A")}\n${line("B")}\n-----END KEY-----\n`;
    const masker = maskerOf(key);
    for (const command of [
      'printf %s "$KEY"',
      'echo "$KEY" | base64',
      'printf %s "$KEY" | base64 -w 64',
      'printf %s "$KEY" | base64 -w 0',
      'printf %q "$KEY"',
      'set -x; : "$KEY"',
      'echo "$KEY" | sed -n 3p | tr -d "\\n" | base64 -w 0',
    ]) {
      const printed = execFileSync("bash", ["--norc", "-c", `exec 2>&1; ${command}`], {
        env: { ...process.env, KEY: key },
      });
      const shown = masker.mask(printed.toString());
      expect([command, shown]).toEqual([command, expect.stringMatching(/^(?:\W*|[^A-Z]*|[\w=]{0,4}\W*)*$/)]);
      expect(shown).not.toMatch(/[A-Za-z0-9]{12}/);
    }
    expect(masker.mask(`x ${line("B")} y`)).toBe("x *** y");
    expect(masker.mask(`x ${key}y`)).toBe("x ***\ny");
  });

  it("leaves ordinary text alone: nothing under 6 characters is hidden, be it a secret or a line of one", () => {
    expect(MIN_MASKED_CHARS).toBe(6);
    const json = '{\n  "a": [1, 2],\n  "name": "x"\n}\n';
    expect(maskerOf("{", "}", "", " ", "12345", "\n", "a\nb\n}\n").mask(json)).toBe(json);
    expect(maskerOf('{\n  "key": "long enough"\n}').mask(json)).toBe(json);
    expect(maskerOf('{\n  "key": "long enough"\n}').mask('x "key": "long enough" y')).toBe("x *** y");
    expect(maskerOf("123456").mask("a123456b12345")).toBe("a***b12345");
  });

  it("hides no more than was printed: text without a form stays as it is", () => {
    fc.assert(
      fc.property(
        secretText,
        fc.array(fc.constantFrom("ls -la\n", "ok 1 - test\n", "::group::x\n", "{}[]\n")),
        (secret, lines) => {
          expect(maskerOf(secret).mask(lines.join(""))).toBe(lines.join(""));
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

  it("hides the newest of a series, and what is constant beside it", () => {
    const masker = maskerOf("constant-secret");
    for (let index = 0; index < 9; index += 1) masker.addRotating(`token-number-${index}`);
    expect(masker.mask("token-number-8 token-number-0 constant-secret")).toBe("*** token-number-0 ***");
  });

  it("reads a hostile text in linear time, with the largest secrets that it takes", () => {
    const masker = maskerOf(`${"ab".repeat(20_000)}c`, `${"a".repeat(20_000)}b`);
    masker.addRotating(`${"ab".repeat(200)}d`);
    for (const hostile of ["ab".repeat(1_000_000), "a".repeat(2_000_000), `${"ab".repeat(19_000)}x`.repeat(50)]) {
      const stream = masker.stream();
      let shown = 0;
      for (let at = 0; at < hostile.length; at += 65_536) shown += stream.push(hostile.slice(at, at + 65_536)).length;
      expect(shown + stream.flush().length).toBe(hostile.length);
    }
  });

  it("says when secrets are too large to be hidden", () => {
    const masker = maskerOf("x".repeat(1_000));
    expect(masker.hasRoomFor(["y".repeat(MAX_SECRET_CHARS - 1_000), "x".repeat(1_000)])).toBe(true);
    expect(masker.hasRoomFor(["y".repeat(MAX_SECRET_CHARS - 999)])).toBe(false);
  });
});
