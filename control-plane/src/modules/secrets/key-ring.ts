import { randomBytes } from "node:crypto";
import { ApiError } from "@shipfox/shared/errors";
import type { RootKeys } from "../../http/root-keys.ts";
import { keyIdOf } from "./envelope.ts";
import { loadRootKeys, ROOT_KEY_BYTES, type RootKey, writeRootKeys } from "./root-key.ts";

/** Keys that the ring holds at most; each is tried for every token that the current one did not sign. */
const MAX_KEYS = 8;

/** A root key without itself. */
export interface KeyFacts {
  readonly keyId: string;
  /** Milliseconds since the epoch; null for the current key, and when the operator gives the keys. */
  readonly replacedAt: number | null;
  readonly tokens: boolean;
}

/**
 * The root keys of a running server. A change is on the disk before it counts: whenever the process is killed, the file has
 * every key with which anything was sealed.
 */
export class KeyRing implements RootKeys {
  #keys: readonly RootKey[];
  #version = 0;
  /** Null when the operator gives the keys. */
  readonly #dataDir: string | null;

  constructor(keys: readonly RootKey[], dataDir: string | null) {
    this.#keys = keys;
    this.#dataDir = dataDir;
  }

  /** Throws RootKeyError. */
  static load(from: { dataDir: string; configured?: string | undefined }): KeyRing {
    return new KeyRing(loadRootKeys(from), from.configured === undefined ? from.dataDir : null);
  }

  get version(): number {
    return this.#version;
  }

  get current(): Buffer {
    return (this.#keys[0] as RootKey).key;
  }

  get all(): readonly Buffer[] {
    return this.#keys.map(({ key }) => key);
  }

  get forTokens(): readonly Buffer[] {
    return this.#keys.filter(({ tokens }) => tokens).map(({ key }) => key);
  }

  get isConfigured(): boolean {
    return this.#dataDir === null;
  }

  /** The current key first. */
  get facts(): readonly KeyFacts[] {
    return this.#keys.map(({ key, replacedAt, tokens }) => ({ keyId: keyIdOf(key), replacedAt, tokens }));
  }

  /**
   * Makes a new current key. The former ones still open what they sealed; with `revokeTokens` the tokens that they signed are
   * refused from now on. Throws 409 `root-key-configured` and `root-key-ring-full`.
   */
  rotate({ now, revokeTokens }: { now: number; revokeTokens: boolean }): void {
    if (this.#dataDir === null) {
      const message = "the operator gives the root key: put a new one before it in SHIPFOX_ROOT_KEY, and start again";
      throw new ApiError("root-key-configured", message);
    }
    if (this.#keys.length >= MAX_KEYS) {
      const message = `there are ${MAX_KEYS} root keys; wait until the old ones are no longer needed`;
      throw new ApiError("root-key-ring-full", message);
    }
    const old = this.#keys.map((key) => ({
      ...key,
      replacedAt: key.replacedAt ?? now,
      tokens: key.tokens && !revokeTokens,
    }));
    this.#store([{ key: randomBytes(ROOT_KEY_BYTES), replacedAt: null, tokens: true }, ...old]);
  }

  /** Forgets replaced keys. Nothing may be sealed with them any more. */
  forget(keyIds: ReadonlySet<string>): void {
    const kept = this.#keys.filter(({ key, replacedAt }) => replacedAt === null || !keyIds.has(keyIdOf(key)));
    if (kept.length < this.#keys.length) this.#store(kept);
  }

  #store(keys: readonly RootKey[]): void {
    if (this.#dataDir !== null) writeRootKeys(this.#dataDir, keys);
    this.#keys = keys;
    this.#version += 1;
  }
}
