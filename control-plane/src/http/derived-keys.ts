import type { KeyObject } from "node:crypto";
import { asRootKeys, type RootKeys } from "./root-keys.ts";
import { deriveKey } from "./signed-tokens.ts";

/** The keys for one purpose, derived again when the root keys change. */
export class DerivedKeys {
  readonly #rootKeys: RootKeys;
  readonly #purpose: string;
  #version: number | null = null;
  #all: readonly KeyObject[] = [];
  #forTokens: readonly KeyObject[] = [];

  constructor(rootKeys: Buffer | RootKeys, purpose: string) {
    this.#rootKeys = asRootKeys(rootKeys);
    this.#purpose = purpose;
  }

  /** With which is signed and hashed. */
  get current(): KeyObject {
    return this.all[0] as KeyObject;
  }

  /** The current one first. */
  get all(): readonly KeyObject[] {
    this.#refresh();
    return this.#all;
  }

  /** Those whose signatures and hashes still count, the current one first. */
  get forTokens(): readonly KeyObject[] {
    this.#refresh();
    return this.#forTokens;
  }

  #refresh(): void {
    const { version, all, forTokens } = this.#rootKeys;
    if (this.#version === version) return;
    this.#all = all.map((rootKey) => deriveKey(rootKey, this.#purpose));
    this.#forTokens = forTokens.map((rootKey) => deriveKey(rootKey, this.#purpose));
    this.#version = version;
  }
}
