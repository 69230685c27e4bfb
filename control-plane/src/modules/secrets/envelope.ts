import { createCipheriv, createDecipheriv, hash, type KeyObject, randomBytes } from "node:crypto";
import { asRootKeys, type RootKeys } from "../../http/root-keys.ts";
import { deriveKey } from "../../http/signed-tokens.ts";

const PURPOSE = "shipfox/secret-envelope/v1";
const VERSION = "v1";
const ALGORITHM = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID_CHARS = 8;

/** Whose secret it is. A sealed text opens only for the same workspace and name, so that rows cannot be swapped. */
export interface SecretContext {
  readonly workspaceId: string;
  readonly name: string;
}

/**
 * A sealed text cannot be opened. `malformed`: not one of ours; `unknown-key`: sealed with another root key;
 * `refused`: it was changed, or it belongs to another workspace or name.
 */
export class EnvelopeError extends Error {
  override readonly name = "EnvelopeError";
  readonly reason: "malformed" | "unknown-key" | "refused";

  constructor(reason: EnvelopeError["reason"], message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * Seals secrets for the database with AES-256-GCM, with the current root key; opens with all that there are. Text form:
 * `v1.<key id>.<iv>.<ciphertext and tag>`, base64url.
 */
export class Envelope {
  readonly #rootKeys: RootKeys;
  #version: number;
  #keys: ReadonlyMap<string, KeyObject>;
  #current: string;

  constructor(rootKeys: Buffer | RootKeys) {
    this.#rootKeys = asRootKeys(rootKeys);
    this.#version = this.#rootKeys.version;
    [this.#keys, this.#current] = deriveAll(this.#rootKeys.all);
  }

  /** The id of the key with which is sealed now. */
  get currentKeyId(): string {
    return this.#look().current;
  }

  seal(plain: string, context: SecretContext): string {
    const { keys, current } = this.#look();
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(ALGORITHM, keys.get(current) as KeyObject, iv, { authTagLength: TAG_BYTES });
    cipher.setAAD(boundTo(current, context));
    const sealed = Buffer.concat([cipher.update(plain, "utf8"), cipher.final(), cipher.getAuthTag()]);
    return [VERSION, current, iv.toString("base64url"), sealed.toString("base64url")].join(".");
  }

  /** Throws `EnvelopeError`. */
  open(text: string, context: SecretContext): string {
    const { keys } = this.#look();
    const [version, keyId = "", ivText, sealedText, ...rest] = text.split(".");
    const iv = decode(ivText);
    const sealed = decode(sealedText);
    if (version !== VERSION || iv?.length !== IV_BYTES || !sealed || sealed.length < TAG_BYTES || rest.length > 0) {
      throw new EnvelopeError("malformed", "the stored secret has no form that this version knows");
    }
    const key = keys.get(keyId);
    if (!key) {
      throw new EnvelopeError(
        "unknown-key",
        "the stored secret was sealed with another root key; give the control plane the key it had before",
      );
    }
    const decipher = createDecipheriv(ALGORITHM, key, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(boundTo(keyId, context));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()]).toString("utf8");
    } catch {
      throw new EnvelopeError("refused", "the stored secret was changed or belongs elsewhere; enter it again");
    }
  }

  #look(): { keys: ReadonlyMap<string, KeyObject>; current: string } {
    if (this.#version !== this.#rootKeys.version) {
      this.#version = this.#rootKeys.version;
      [this.#keys, this.#current] = deriveAll(this.#rootKeys.all);
    }
    return { keys: this.#keys, current: this.#current };
  }
}

/** The name of a root key in sealed texts: tells nothing of the key. */
export function keyIdOf(rootKey: Buffer): string {
  return idOf(deriveKey(rootKey, PURPOSE));
}

function deriveAll(rootKeys: readonly Buffer[]): [ReadonlyMap<string, KeyObject>, string] {
  const derived = rootKeys.map((rootKey) => deriveKey(rootKey, PURPOSE));
  return [new Map(derived.map((key) => [idOf(key), key])), idOf(derived[0] as KeyObject)];
}

function idOf(key: KeyObject): string {
  return hash("sha256", key.export(), "hex").slice(0, KEY_ID_CHARS);
}

/** JSON keeps the parts apart: no workspace and name can look like another pair. */
function boundTo(keyId: string, { workspaceId, name }: SecretContext): Buffer {
  return Buffer.from(JSON.stringify([VERSION, keyId, workspaceId, name]));
}

/** Only the canonical form, so that one secret has one text. */
function decode(text: string | undefined): Buffer | null {
  if (text === undefined) return null;
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text ? bytes : null;
}
