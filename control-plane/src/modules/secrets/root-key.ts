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
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** Every other key is derived from this one: those of tokens, of sealed secrets, of the setup token. */
export const ROOT_KEY_BYTES = 32;
export const ROOT_KEY_FILE = "root.key";

const OWNER_ONLY = 0o600;
const ANYONE_ELSE = 0o077;
const BASE64_PATTERN = /^[A-Za-z0-9+/]{43}=$/;

/** The root key cannot be used. The message says why and what to do; the process prints it and ends. */
export class RootKeyError extends Error {
  override readonly name = "RootKeyError";
}

/**
 * The root key: `configured` (base64 of 32 bytes) when the operator gives one, else the file in the data folder, which
 * is made at the first start. Losing it makes all sealed secrets unreadable and all tokens invalid.
 */
export function loadRootKey({ dataDir, configured }: { dataDir: string; configured?: string | undefined }): Buffer {
  if (configured !== undefined) return decodeKey(configured, "SHIPFOX_ROOT_KEY");
  const path = join(dataDir, ROOT_KEY_FILE);
  return readKeyFile(path) ?? makeKeyFile(dataDir, path);
}

function readKeyFile(path: string): Buffer | null {
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
    return decodeKey(readFileSync(file, "utf8").trim(), path);
  } finally {
    closeSync(file);
  }
}

/** The key appears under its name whole and synced, or not at all; when two processes make one, the first stays. */
function makeKeyFile(dataDir: string, path: string): Buffer {
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
  const key = readKeyFile(path);
  if (!key) throw new RootKeyError(`The root key ${path} vanished while it was made; start again.`);
  return key;
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
