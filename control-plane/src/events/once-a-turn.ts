/** Treats each thing that was marked once, at the end of the turn of the event loop in which it was marked first. */
export class OnceATurn<T> {
  readonly #marked = new Set<T>();
  readonly #treat: (thing: T) => void;

  constructor(treat: (thing: T) => void) {
    this.#treat = treat;
  }

  mark(thing: T): void {
    if (this.#marked.size === 0) setImmediate(() => this.#treatAll());
    this.#marked.add(thing);
  }

  #treatAll(): void {
    const marked = [...this.#marked];
    this.#marked.clear();
    for (const thing of marked) this.#treat(thing);
  }
}
