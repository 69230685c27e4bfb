import { ApiError } from "@shipfox/shared/errors";
import { describe, expect, it } from "vitest";
import {
  asSyncFailure,
  decode,
  decideSync,
  failureOf,
  fileStates,
  type KnownDefinition,
  readDefinition,
  type ReadFile,
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
  const file = (key: string, yaml: string): ReadFile => ({
    path: key,
    key,
    result: {
      ok: true,
      content: { name: key, yaml, document: "{}", model: `model of ${yaml}`, manual_trigger: null, called_files: null },
      triggers: [],
      calls: [],
      warnings: [],
      notRunnable: [],
    },
  });
  const known = (key: string, yaml: string, rest: Partial<KnownDefinition> = {}): KnownDefinition => ({
    id: `id of ${key}`,
    config_path: key,
    upsert_key: key,
    yaml,
    called_files: null,
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

describe("files of a sync", () => {
  const path = ".shipfox/workflows/ci.yml";
  const read = (name: string, text: string): ReadFile => ({ path: name, key: name, result: readDefinition(text, []) });
  const faulty = read(path, "name: CI\njobs:\n  build:\n    runner: linux\n    stepz: []\n");

  it("names file, line and column of the first fault of each", () => {
    const failure = failureOf([faulty, read("b.yml", "name: [")]);
    expect(failure?.message).toMatch(/^\.shipfox\/workflows\/ci\.yml:\d+:\d+: .*stepz.*; b\.yml:1:\d+: /s);
    expect(failureOf([])).toBeNull();
  });
  it("leaves the definition of a file with a fault alone, also of an earlier branch", () => {
    const known = ["key of main", path].map((upsert_key) => {
      return {
        id: upsert_key,
        config_path: path,
        upsert_key,
        yaml: "",
        called_files: null,
        model: "",
        deleted_at: null,
      };
    });
    expect(decideSync([faulty], known)).toEqual({ save: [], remove: [] });
  });
  it("tells of each whether it is in force, and at most ten faults", () => {
    const many = read("many.yml", `name: x\n${Array.from({ length: 12 }, (_, index) => `key${index}: 1\n`).join("")}`);
    const states = fileStates([faulty, many], new Map([[path, "id"]]));
    expect(states).toMatchObject([
      { config_path: path, status: "invalid", definition_id: "id", diagnostics: [{ line: 5, column: 5 }] },
      { config_path: "many.yml", status: "invalid", definition_id: null },
    ]);
    expect(states[1]?.diagnostics).toHaveLength(10);
  });
  it("takes only text of a bounded size", () => {
    const fault = (content: Buffer | null) => JSON.stringify(decode(content));
    expect(fault(Buffer.from([0xff, 0xfe]))).toMatch(/UTF-8/);
    expect(fault(Buffer.from("name: CI # \0"))).toMatch(/NUL/);
    expect(fault(null)).toMatch(/workflow-too-large.*1000000 bytes/);
    expect(decode(Buffer.from("name: CI"))).toEqual({ text: "name: CI" });
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
