const REPLACEMENT = "***";
/** A derived form shorter than this would hide ordinary words. The literal secret is hidden whatever its length. */
const MIN_DERIVED_CHARS = 8;
const MAX_ROTATING = 4;
const SPECIAL_CHARS = /[\\^$.*+?()[\]{}|/-]/g;
/** First base64 characters that also carry bits of the unknown bytes before the secret, by the number of those bytes. */
const SKIPPED_BASE64_CHARS = [0, 2, 3] as const;

/**
 * Hides secrets in streams of text. One masker serves all streams of a job, `stream` makes the state of one of them.
 * A secret is found as it is, as base64 or base64url in any alignment, percent-encoded and as hex.
 */
export class Masker {
  private readonly lasting = new Set<string>();
  private readonly rotating: string[] = [];
  private matcher: RegExp | null = null;
  private formsByFirstChar = new Map<number, string[]>();
  private longestForm = 0;
  private formsSpanLines = false;

  /** Takes effect for text that was not yet given out. Each line of a secret of several lines is a secret too. */
  add(secret: string): void {
    if (this.lasting.has(secret)) return;
    this.lasting.add(secret);
    this.rebuild();
  }

  /** As `add`, for one of a series that replace each other: only the last few stay hidden, else there would be thousands. */
  addRotating(secret: string): void {
    if (this.rotating.includes(secret)) return;
    this.rotating.push(secret);
    if (this.rotating.length > MAX_ROTATING) this.rotating.shift();
    this.rebuild();
  }

  /** Hides the secrets of a text that stands alone. */
  mask(text: string): string {
    return this.matcher === null ? text : text.replace(this.matcher, REPLACEMENT);
  }

  /** A stream whose secrets may be cut anywhere: `push` keeps back what could be the beginning of one, `flush` gives it out. */
  stream(): MaskedStream {
    let held = "";
    return {
      push: (text) => {
        const { output, rest } = this.split(held + text);
        held = rest;
        return output;
      },
      flush: () => {
        const output = this.mask(held);
        held = "";
        return output;
      },
      isHolding: () => held !== "",
    };
  }

  /**
   * Masks as far as later text cannot change the result. Leftmost match first, the longest of those: so the result
   * does not depend on where the text was cut.
   */
  private split(text: string): { output: string; rest: string } {
    const matcher = this.matcher;
    if (matcher === null) return { output: text, rest: "" };
    let output = "";
    let position = 0;
    for (;;) {
      const open = this.findOpenForm(text, position);
      matcher.lastIndex = position;
      const match = matcher.exec(text);
      if (match === null || match.index >= open)
        return { output: output + text.slice(position, open), rest: text.slice(open) };
      output += text.slice(position, match.index) + REPLACEMENT;
      position = match.index + match[0].length;
    }
  }

  /** The first index from which the text up to its end is the beginning of a form, and not yet all of it. */
  private findOpenForm(text: string, from: number): number {
    let index = Math.max(from, text.length - this.longestForm + 1);
    if (!this.formsSpanLines) index = Math.max(index, text.lastIndexOf("\n") + 1);
    for (; index < text.length; index += 1) {
      const candidates = this.formsByFirstChar.get(text.charCodeAt(index));
      if (candidates === undefined) continue;
      const tail = text.slice(index);
      if (candidates.some((form) => form.length > tail.length && form.startsWith(tail))) return index;
    }
    return text.length;
  }

  private rebuild(): void {
    const forms = new Set([...this.lasting, ...this.rotating].flatMap(formsOf));
    const longestFirst = [...forms].sort((left, right) => right.length - left.length);
    this.matcher =
      longestFirst.length === 0
        ? null
        : new RegExp(longestFirst.map((form) => form.replace(SPECIAL_CHARS, "\\$&")).join("|"), "g");
    this.longestForm = longestFirst[0]?.length ?? 0;
    this.formsSpanLines = longestFirst.some((form) => form.includes("\n"));
    this.formsByFirstChar = Map.groupBy(longestFirst, (form) => form.charCodeAt(0));
  }
}

export interface MaskedStream {
  push(text: string): string;
  flush(): string;
  isHolding(): boolean;
}

function formsOf(secret: string): string[] {
  if (secret.trim() === "") return [];
  const lines = secret.includes("\n") ? secret.split(/\r?\n/).filter((line) => line.length >= MIN_DERIVED_CHARS) : [];
  const bytes = Buffer.from(secret);
  const derived = [
    encodeURIComponent(secret.toWellFormed()),
    bytes.toString("hex"),
    bytes.toString("hex").toUpperCase(),
  ];
  for (const [unknownBytes, skipped] of SKIPPED_BASE64_CHARS.entries()) {
    const shifted = Buffer.concat([Buffer.alloc(unknownBytes), bytes]);
    const wholeChars = Math.floor((shifted.length * 8) / 6);
    derived.push(shifted.toString("base64").slice(skipped, wholeChars));
    derived.push(shifted.toString("base64url").slice(skipped, wholeChars));
  }
  return [secret, ...lines, ...derived.filter((form) => form.length >= MIN_DERIVED_CHARS)];
}
