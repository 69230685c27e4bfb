const ASCII = 128;
const BYTE_VALUES = 256;

/**
 * Finds a set of texts in a stream of characters, each character looked at once, whatever the texts and the stream are.
 * (The automaton of Aho and Corasick.) A state stands for the longest end of what was read that begins one of the texts.
 */
export class TextMatcher {
  static readonly START = 0;
  /** Per state: its character, its first child, its next sibling, where to go on when no child fits. */
  readonly #character: Uint16Array;
  readonly #child: Int32Array;
  readonly #sibling: Int32Array;
  readonly #fallback: Int32Array;
  readonly #depth: Int32Array;
  /** Length of the longest of the texts that ends here. */
  readonly #match: Int32Array;
  /** Children of the start: it has many, and almost every character asks for one. */
  readonly #startAscii = new Int32Array(ASCII);
  readonly #startOther = new Map<number, number>();
  /** Which two characters, by their low bytes, may begin a text: almost none of ordinary text do. */
  readonly #startPairs = new Uint8Array(BYTE_VALUES * BYTE_VALUES);
  #states = 1;

  /** Texts of two characters and more. Memory: 22 bytes for each of their characters. */
  constructor(texts: Iterable<string>) {
    const all = [...texts];
    const size = all.reduce((sum, text) => sum + text.length, 1);
    this.#character = new Uint16Array(size);
    this.#child = new Int32Array(size);
    this.#sibling = new Int32Array(size);
    this.#fallback = new Int32Array(size);
    this.#depth = new Int32Array(size);
    this.#match = new Int32Array(size);
    for (const text of all) {
      this.#insert(text);
      this.#startPairs[pairOf(text.charCodeAt(0), text.charCodeAt(1))] = 1;
    }
    this.#link();
  }

  /** The state after one more character. */
  next(state: number, character: number): number {
    let from = state;
    while (from !== TextMatcher.START) {
      const child = this.#childOf(from, character);
      if (child !== 0) return child;
      from = this.#fallback[from] as number;
    }
    return this.#startChild(character);
  }

  /** In the state `START`: the next index, or this one, from which a text may begin. The last one always may. */
  skip(text: string, from: number): number {
    const last = text.length - 1;
    let character = text.charCodeAt(from);
    for (let at = from; at < last; at += 1) {
      const following = text.charCodeAt(at + 1);
      if (this.#startPairs[pairOf(character, following)] === 1) return at;
      character = following;
    }
    return last;
  }

  /** How many of the characters just read could become one of the texts. */
  depthOf(state: number): number {
    return this.#depth[state] as number;
  }

  /** The length of the longest of the texts that ends with the character just read; 0 for none. */
  matchOf(state: number): number {
    return this.#match[state] as number;
  }

  #startChild(character: number): number {
    return character < ASCII ? (this.#startAscii[character] as number) : (this.#startOther.get(character) ?? 0);
  }

  #childOf(state: number, character: number): number {
    let child = this.#child[state] as number;
    while (child !== 0 && this.#character[child] !== character) child = this.#sibling[child] as number;
    return child;
  }

  #insert(text: string): void {
    let state = TextMatcher.START;
    for (let at = 0; at < text.length; at += 1) {
      const character = text.charCodeAt(at);
      const known = at === 0 ? this.#startChild(character) : this.#childOf(state, character);
      state = known === 0 ? this.#addChild(state, character) : known;
    }
    this.#match[state] = text.length;
  }

  #addChild(parent: number, character: number): number {
    const state = this.#states;
    this.#states += 1;
    this.#character[state] = character;
    this.#depth[state] = (this.#depth[parent] as number) + 1;
    this.#sibling[state] = this.#child[parent] as number;
    this.#child[parent] = state;
    if (parent === TextMatcher.START) {
      if (character < ASCII) this.#startAscii[character] = state;
      else this.#startOther.set(character, state);
    }
    return state;
  }

  /** Breadth first: the fallback of a state is shallower, so it is known already. */
  #link(): void {
    const queue = new Int32Array(this.#states);
    let end = 1;
    for (let at = 0; at < end; at += 1) {
      const parent = queue[at] as number;
      for (let state = this.#child[parent] as number; state !== 0; state = this.#sibling[state] as number) {
        queue[end] = state;
        end += 1;
        if (parent === TextMatcher.START) continue;
        const fallback = this.next(this.#fallback[parent] as number, this.#character[state] as number);
        this.#fallback[state] = fallback;
        if (this.#match[state] === 0) this.#match[state] = this.#match[fallback] as number;
      }
    }
  }
}

function pairOf(first: number, second: number): number {
  return ((first & 0xff) << 8) | (second & 0xff);
}
