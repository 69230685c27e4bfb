import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadRootKeys, ROOT_KEY_FILE, RootKeyError, writeRootKeys } from "./root-key.ts";

const loadRootKey = (from: { dataDir: string; configured?: string }) => loadRootKeys(from)[0]?.key as Buffer;

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "shipfox-root-key-"));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

describe("the root key", () => {
  it("makes a key of its owner alone at the first start and reads the same one afterwards", () => {
    const folder = join(dataDir, "made", "on demand");
    const key = loadRootKey({ dataDir: folder });
    expect(key).toHaveLength(32);
    expect(statSync(join(folder, ROOT_KEY_FILE)).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual([ROOT_KEY_FILE]);
    expect(loadRootKey({ dataDir: folder })).toEqual(key);
    expect(readFileSync(join(folder, ROOT_KEY_FILE), "utf8").trim()).toBe(key.toString("base64"));
  });

  it("refuses a key that other users can read, and says how to repair that", () => {
    loadRootKey({ dataDir });
    chmodSync(join(dataDir, ROOT_KEY_FILE), 0o640);
    expect(() => loadRootKey({ dataDir })).toThrow(/chmod 600/);
  });

  it("refuses a file with anything but 32 bytes of base64, and never replaces it", () => {
    for (const text of [
      "",
      "short",
      Buffer.alloc(31).toString("base64"),
      `${Buffer.alloc(32).toString("base64")}AAAA`,
    ]) {
      writeFileSync(join(dataDir, ROOT_KEY_FILE), text, { mode: 0o600 });
      expect(() => loadRootKey({ dataDir })).toThrow(RootKeyError);
      expect(readFileSync(join(dataDir, ROOT_KEY_FILE), "utf8")).toBe(text);
    }
  });

  it("does not follow a link", () => {
    symlinkSync("/dev/zero", join(dataDir, ROOT_KEY_FILE));
    expect(() => loadRootKey({ dataDir })).toThrow(RootKeyError);
  });

  it("takes the operator's key before the file and makes none then", () => {
    const configured = Buffer.alloc(32, 3).toString("base64");
    expect(loadRootKey({ dataDir, configured })).toEqual(Buffer.alloc(32, 3));
    expect(readdirSync(dataDir)).toEqual([]);
    expect(() => loadRootKey({ dataDir, configured: "hunter2" })).toThrow(/SHIPFOX_ROOT_KEY/);
  });

  it("may have replaced ones behind it, which are read as they were written", () => {
    const [current, old, older] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte)) as [Buffer, Buffer, Buffer];
    const keys = [
      { key: current, replacedAt: null, tokens: true },
      { key: old, replacedAt: 1_800_000_000_000, tokens: true },
      { key: older, replacedAt: 1_700_000_000_000, tokens: false },
    ];
    writeRootKeys(dataDir, keys);
    expect(loadRootKeys({ dataDir })).toEqual(keys);
    expect(statSync(join(dataDir, ROOT_KEY_FILE)).mode & 0o777).toBe(0o600);
    expect(readdirSync(dataDir)).toEqual([ROOT_KEY_FILE]);
    const configured = [current, old].map((key) => key.toString("base64")).join(", ");
    expect(loadRootKeys({ dataDir, configured }).map(({ key }) => key)).toEqual([current, old]);
  });

  it("is refused with a line that is not understood behind it, and a half written change is forgotten", () => {
    const key = Buffer.alloc(32, 1).toString("base64");
    for (const line of [key, `${key} yesterday tokens`, `${key} 2026-01-01T00:00:00.000Z all`, "short"]) {
      writeFileSync(join(dataDir, ROOT_KEY_FILE), `${key}\n${line}\n`, { mode: 0o600 });
      expect(() => loadRootKeys({ dataDir })).toThrow(RootKeyError);
    }
    writeFileSync(join(dataDir, ROOT_KEY_FILE), `${key}\n`, { mode: 0o600 });
    writeFileSync(join(dataDir, `${ROOT_KEY_FILE}.next`), "half", { mode: 0o600 });
    const keys = loadRootKeys({ dataDir });
    expect(keys).toHaveLength(1);
    writeRootKeys(dataDir, keys);
    expect(readdirSync(dataDir)).toEqual([ROOT_KEY_FILE]);
  });
});
