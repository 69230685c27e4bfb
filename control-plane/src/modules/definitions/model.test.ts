import { ApiError } from "@shipfox/shared/errors";
import { describe, expect, it } from "vitest";
import {
  acceptFile,
  asSyncFailure,
  decode,
  decideSync,
  type KnownDefinition,
  readDefinition,
  SyncFailure,
  type SyncedFile,
  upsertKey,
} from "./model.ts";

const from = { projectId: "p", configPath: "ci.yml", sha: null, ref: null };

describe("upsertKey", () => {
  it("tells origins apart, and makes a text without a path a definition of its own", () => {
    const origins = [
      from,
      { ...from, projectId: "q" },
      { ...from, configPath: "cd.yml" },
      { ...from, sha: "abc" },
      { ...from, ref: "abc" },
      { ...from, ref: "main" },
    ];
    expect(new Set(origins.map(upsertKey)).size).toBe(origins.length);
    expect(upsertKey({ ...from, sha: "abc", ref: "main" })).toBe(upsertKey({ ...from, sha: "abc" }));
    expect(upsertKey({ ...from, configPath: null })).toBeNull();
  });
});

describe("decideSync", () => {
  const file = (key: string, yaml: string): SyncedFile => ({
    path: key,
    key,
    content: { name: key, yaml, document: "{}", model: `model of ${yaml}`, manual_trigger: null },
    triggers: [],
  });
  const known = (key: string, yaml: string, rest: Partial<KnownDefinition> = {}): KnownDefinition => ({
    id: `id of ${key}`,
    upsert_key: key,
    yaml,
    model: `model of ${yaml}`,
    deleted_at: null,
    ...rest,
  });

  it("saves what is new, changed or back, removes what is gone, and leaves the rest alone", () => {
    const files = [
      file("new", "1"),
      file("changed", "2"),
      file("same", "3"),
      file("back", "4"),
      file("newer server", "5"),
    ];
    const before = [
      known("changed", "1"),
      known("same", "3"),
      known("back", "4", { deleted_at: 1 }),
      known("newer server", "5", { model: "older model" }),
      known("gone", "6"),
      known("long gone", "7", { deleted_at: 1 }),
    ];
    const { save, remove } = decideSync(files, before);
    expect(save.map((saved) => saved.key)).toEqual(["new", "changed", "back", "newer server"]);
    expect(remove).toEqual(["id of gone"]);
  });
});

describe("a file of a sync", () => {
  const path = ".shipfox/workflows/ci.yml";
  const read = (content: Buffer) => () => acceptFile(path, readDefinition(decode(path, content), []));

  it("names file, line and column of the first fault", () => {
    const faulty = Buffer.from("name: CI\njobs:\n  build:\n    runner: linux\n    stepz: []\n");
    expect(read(faulty)).toThrow(/^\.shipfox\/workflows\/ci\.yml:\d+:\d+: .*stepz/);
    expect(read(faulty)).toThrow(SyncFailure);
  });
  it("takes only text", () => {
    expect(read(Buffer.from([0xff, 0xfe]))).toThrow(/UTF-8/);
    expect(read(Buffer.from("name: CI # \0"))).toThrow(/NUL/);
  });
});

describe("asSyncFailure", () => {
  it.each([
    ["repository-not-found", "provider-repository-not-found"],
    ["access-denied", "provider-access-denied"],
    ["timeout", "provider-timeout"],
    ["source-connection-inactive", "connection-unavailable"],
    ["content-too-large", "content-too-large"],
  ] as const)("shows %s as %s", (code, expected) => {
    expect(asSyncFailure(new ApiError(code))?.code).toBe(expected);
  });
  it("keeps inner faults to the log", () => {
    expect(asSyncFailure(new ApiError("store-unavailable"))).toBeNull();
    expect(asSyncFailure(new Error("x"))).toBeNull();
  });
});
