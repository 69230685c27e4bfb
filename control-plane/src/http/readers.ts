import { accountOf, type UserPrincipal } from "./caller.ts";
import type { Store } from "../store/store.ts";

/** More of them than look at one thing at once; with one more all are looked up again. */
const MAX_READERS = 100;

/**
 * Who was found to be allowed to see one thing, and that the thing is as it was. As long as nothing is committed, both are
 * still so, and need no look into the database; with the next commit, whatever it changes, nobody is known any more.
 */
export class Readers {
  readonly #store: Pick<Store, "version">;
  readonly #known = new Set<string>();
  #version: number | null = null;

  constructor(store: Pick<Store, "version">) {
    this.#store = store;
  }

  has(caller: UserPrincipal): boolean {
    return this.#version !== null && this.#version === this.#store.version && this.#known.has(keyOf(caller));
  }

  /** `version` is that of the store before the look began: what is committed during a look may not be seen by it. */
  add(caller: UserPrincipal, version: number | null): void {
    if (version !== this.#version || this.#known.size >= MAX_READERS) this.#known.clear();
    this.#version = version;
    if (version !== null) this.#known.add(keyOf(caller));
  }
}

function keyOf(caller: UserPrincipal): string {
  return caller.onlyWorkspaceId === undefined ? accountOf(caller) : `${accountOf(caller)} ${caller.onlyWorkspaceId}`;
}
