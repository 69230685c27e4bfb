import { randomBytes } from "node:crypto";
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** Every other key is derived from this one: those of tokens, of sealed secrets, of the setup token. */
export const ROOT_KEY_BYTES = 32;
export const ROOT_KEY_FILE = "root.key";
const NEXT_SUFFIX = ".next";

const OWNER_ONLY = 0o600;
const ANYONE_ELSE = 0o077;
const BASE64_PATTERN = /^[A-Za-z0-9+/]{43}=$/;

/** The root key cannot be used. The message says why and what to do; the process prints it and ends. */
export class RootKeyError extends Error {
  override readonly name = "RootKeyError";
}

/** A root key, the current one or one that it replaced. */
export interface RootKey {
  readonly key: Buffer;
  /** When another took its place, milliseconds since the epoch; null for the current one, and for those of a setting. */
  readonly replacedAt: number | null;
  /** Whether tokens signed with it are good until they expire. */
  readonly tokens: boolean;
}

/**
 * The root keys, the current one first: `configured` (base64 of 32 bytes each, separated by commas) when the operator gives
 * them, else those of the file in the data folder, which is made at the first start. Losing a key makes what was sealed with it
 * unreadable and its tokens invalid.
 */
export function loadRootKeys({
  dataDir,
  configured,
}: {
  dataDir: string;
  configured?: string | undefined;
}): readonly RootKey[] {
  if (configured !== undefined) {
    const texts = configured.split(",").map((text) => text.trim());
    return texts.map((text) => ({ key: decodeKey(text, "SHIPFOX_ROOT_KEY"), replacedAt: null, tokens: true }));
  }
  const path = join(dataDir, ROOT_KEY_FILE);
  return readKeyFile(path) ?? makeKeyFile(dataDir, path);
}

/** Puts the keys into the file of the data folder, whole and synced, or not at all. Throws RootKeyError. */
export function writeRootKeys(dataDir: string, keys: readonly RootKey[]): void {
  const path = join(dataDir, ROOT_KEY_FILE);
  const next = `${path}${NEXT_SUFFIX}`;
  try {
    rmSync(next, { force: true });
    writeSynced(next, keys.map(toLine).join(""));
    renameSync(next, path);
    syncFolder(dataDir);
  } catch (error) {
    throw new RootKeyError(`The root key ${path} cannot be written: ${(error as Error).message}`, { cause: error });
  }
}

function readKeyFile(path: string): RootKey[] | null {
  let file: number;
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new RootKeyError(`The root key ${path} cannot be read: ${(error as Error).message}`, { cause: error });
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new RootKeyError(`The root key ${path} is not a regular file.`);
    if ((stat.mode & ANYONE_ELSE) !== 0) {
      throw new RootKeyError(`The root key ${path} is open to other users of this machine. Run: chmod 600 ${path}`);
    }
    const lines = readFileSync(file, "utf8").trim().split("\n");
    return lines.map((line, at) => fromLine(line, at === 0, path));
  } finally {
    closeSync(file);
  }
}

/** The current key is alone in its line, a replaced one stands with when that was and what it is still good for. */
function toLine({ key, replacedAt, tokens }: RootKey): string {
  const rest = replacedAt === null ? "" : ` ${new Date(replacedAt).toISOString()} ${tokens ? "tokens" : "sealed"}`;
  return `${key.toString("base64")}${rest}\n`;
}

function fromLine(line: string, isFirst: boolean, path: string): RootKey {
  const [text = "", time, use, ...rest] = line.trim().split(" ");
  const key = decodeKey(text, path);
  const replacedAt = time === undefined ? null : Date.parse(time);
  const isGood = isFirst ? replacedAt === null : Number.isFinite(replacedAt) && (use === "tokens" || use === "sealed");
  if (!isGood || rest.length > 0) {
    throw new RootKeyError(`${path} has a line that this version does not know; restore the file from a copy.`);
  }
  return { key, replacedAt, tokens: isFirst || use === "tokens" };
}

/** The key appears under its name whole and synced, or not at all; when two processes make one, the first stays. */
function makeKeyFile(dataDir: string, path: string): RootKey[] {
  const partial = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    writeSynced(partial, `${randomBytes(ROOT_KEY_BYTES).toString("base64")}\n`);
    try {
      linkSync(partial, path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    syncFolder(dataDir);
  } catch (error) {
    throw new RootKeyError(`The root key ${path} cannot be written: ${(error as Error).message}`, { cause: error });
  } finally {
    rmSync(partial, { force: true });
  }
  const keys = readKeyFile(path);
  if (!keys) throw new RootKeyError(`The root key ${path} vanished while it was made; start again.`);
  return keys;
}

function writeSynced(path: string, text: string): void {
  const file = openSync(path, "wx", OWNER_ONLY);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function decodeKey(text: string, place: string): Buffer {
  const key = Buffer.from(text, "base64");
  if (!BASE64_PATTERN.test(text) || key.toString("base64") !== text) {
    throw new RootKeyError(`${place} must hold ${ROOT_KEY_BYTES} bytes as base64, as made by: openssl rand -base64 32`);
  }
  return key;
}
