import { formsOf } from "@shipfox/shared/secret-forms";
import { TextMatcher } from "./text-matcher.ts";

const REPLACEMENT = "***";
const MAX_ROTATING = 4;
/** All secrets of a job together: their forms take about 1 KB of memory for each of these characters. */
export const MAX_SECRET_CHARS = 128 * 1024;

/**
 * Hides secrets in text: in streams, which may be cut anywhere, and in texts that stand alone. One masker serves all of a
 * job: logs, outputs, annotations, error messages. In which forms a secret is found: see `formsOf`. Every character
 * that belongs to a form becomes part of a `***`, also where forms overlap. Time is linear in the text.
 */
export class Masker {
  private readonly secrets = new Set<string>();
  private readonly rotating: string[] = [];
  private chars = 0;
  private readonly lastingLayer = new Layer(() => [...this.secrets].flatMap((secret) => [...formsOf(secret)]));
  /** Apart, because it changes with every heartbeat while the other may be large. */
  private readonly rotatingLayer = new Layer(() => this.rotating.flatMap(formsOfToken));

  /** Takes effect for text that was not yet given out. Each line of a secret of several lines is a secret too. */
  add(secret: string): void {
    if (this.secrets.has(secret)) return;
    this.secrets.add(secret);
    this.chars += secret.length;
    this.lastingLayer.change();
  }

  /** Whether these can be hidden beside those that are already, within `MAX_SECRET_CHARS`. */
  hasRoomFor(secrets: Iterable<string>): boolean {
    const added = [...new Set(secrets)].filter((secret) => !this.secrets.has(secret));
    return added.reduce((sum, secret) => sum + secret.length, this.chars) <= MAX_SECRET_CHARS;
  }

  /**
   * As `add`, for one of a series of tokens that replace each other: only the last few stay hidden, else there would be
   * thousands. Encoded, the signature alone is hidden, without which a token is worth nothing: it is a twentieth of the work,
   * and a step waits for it.
   */
  addRotating(token: string): void {
    if (this.rotating.includes(token)) return;
    this.rotating.push(token);
    if (this.rotating.length > MAX_ROTATING) this.rotating.shift();
    this.rotatingLayer.change();
  }

  /** Hides the secrets of a text that stands alone. */
  mask(text: string): string {
    const stream = this.stream();
    return stream.push(text) + stream.flush();
  }

  /** A stream whose secrets may be cut anywhere: `push` keeps back what could be the beginning of one, `flush` gives it out. */
  stream(): MaskedStream {
    const first = new LayerStream(this.rotatingLayer);
    const second = new LayerStream(this.lastingLayer);
    return {
      push: (text) => second.push(first.push(text)),
      flush: () => second.push(first.flush()) + second.flush(),
      isHolding: () => first.isHolding() || second.isHolding(),
    };
  }
}

export interface MaskedStream {
  push(text: string): string;
  flush(): string;
  isHolding(): boolean;
}

/** A set of secrets that are looked for together. What finds them is made when it is first needed after a change. */
class Layer {
  version = 0;
  private readonly forms: () => Iterable<string>;
  private made: { version: number; matcher: TextMatcher | null } = { version: 0, matcher: null };

  constructor(forms: () => Iterable<string>) {
    this.forms = forms;
  }

  change(): void {
    this.version += 1;
  }

  /** Null when nothing is to be hidden. */
  matcher(): TextMatcher | null {
    if (this.made.version !== this.version) {
      const forms = new Set(this.forms());
      this.made = { version: this.version, matcher: forms.size === 0 ? null : new TextMatcher(forms) };
    }
    return this.made.matcher;
  }
}

/** One text that passes through a layer. */
class LayerStream {
  private readonly layer: Layer;
  private version = 0;
  private state = TextMatcher.START;
  /** Read, and not given out: later text may make it part of a secret. */
  private held = "";
  /** The parts of `held` that belong to secrets: apart from each other and in order. */
  private hidden: { start: number; end: number }[] = [];
  /** The last thing given out was a `***`; what follows it directly joins it. */
  private endsHidden = false;

  constructor(layer: Layer) {
    this.layer = layer;
  }

  push(text: string): string {
    const matcher = this.layer.matcher();
    let fresh = text;
    if (this.version !== this.layer.version) {
      // The kept text is read again: it may be part of a secret that was not known before.
      fresh = this.held + text;
      this.version = this.layer.version;
      this.state = TextMatcher.START;
      this.held = "";
      this.hidden = [];
    }
    if (matcher === null) return fresh;
    this.read(matcher, fresh);
    return this.giveOut(this.held.length - matcher.depthOf(this.state));
  }

  flush(): string {
    const output = this.giveOut(this.held.length);
    this.state = TextMatcher.START;
    this.endsHidden = false;
    return output;
  }

  isHolding(): boolean {
    return this.held !== "";
  }

  private read(matcher: TextMatcher, text: string): void {
    const offset = this.held.length + 1;
    let state = this.state;
    for (let at = 0; at < text.length; at += 1) {
      if (state === TextMatcher.START) at = matcher.skip(text, at);
      state = matcher.next(state, text.charCodeAt(at));
      if (state === TextMatcher.START) continue;
      const length = matcher.matchOf(state);
      if (length > 0) this.hide(offset + at - length, offset + at);
    }
    this.state = state;
    this.held += text;
  }

  private hide(start: number, end: number): void {
    let from = start;
    for (let last = this.hidden.at(-1); last !== undefined && last.end >= from; last = this.hidden.at(-1)) {
      from = Math.min(from, last.start);
      this.hidden.pop();
    }
    this.hidden.push({ start: from, end });
  }

  /** Gives out the first `count` kept characters. */
  private giveOut(count: number): string {
    if (count === 0) return "";
    let output = "";
    let position = 0;
    const showUpTo = (end: number) => {
      if (end <= position) return;
      output += this.held.slice(position, end);
      this.endsHidden = false;
    };
    for (const { start, end } of this.hidden) {
      if (start >= count) break;
      showUpTo(start);
      if (!this.endsHidden) output += REPLACEMENT;
      this.endsHidden = true;
      position = Math.min(end, count);
    }
    showUpTo(count);
    this.held = this.held.slice(count);
    this.hidden = this.hidden
      .filter(({ end }) => end > count)
      .map(({ start, end }) => ({ start: Math.max(0, start - count), end: end - count }));
    return output;
  }
}

/** The signature of a signed token is what follows its last dot. */
function formsOfToken(token: string): string[] {
  return [token, ...formsOf(token.slice(token.lastIndexOf(".") + 1))];
}
