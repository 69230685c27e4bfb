import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp, rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MoveIn } from "./move-in.ts";

let root: string;
let workspace: string;
let canary: string;
let moveIn: MoveIn;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "shipfox-move-in-"));
  workspace = join(root, "workspace");
  canary = join(root, "canary");
  for (const folder of [workspace, canary]) mkdirSync(folder);
  writeFileSync(join(canary, "file"), "alive\n");
  moveIn = new MoveIn({
    workspace,
    handOver: async () => {},
    createHiddenFolder: () => mkdtemp(join(root, "hidden-")),
  });
});

afterEach(() => {
  assert.deepEqual(readdirSync(canary), ["file"]);
  assert.equal(readFileSync(join(canary, "file"), "utf8"), "alive\n");
  rmSync(root, { recursive: true });
});

/** A finished checkout beside the workspace. */
function finished(content = "new\n"): string {
  const folder = join(mkdtempSync(join(root, "hidden-")), "checkout");
  mkdirSync(join(folder, ".git"), { recursive: true });
  writeFileSync(join(folder, "a.txt"), content);
  return folder;
}

const put = (path: string, force = false) => moveIn.put(finished(), path === "" ? [] : path.split("/"), { force });
const check = (path: string, force = false) => moveIn.check(path === "" ? [] : path.split("/"), { force });
const isThere = (path: string) => readFileSync(join(workspace, path, "a.txt"), "utf8") === "new\n";
const OCCUPIED = { reason: "checkout_destination_occupied" };
const INVALID = { reason: "checkout_path_invalid" };

describe("a finished folder", () => {
  it.each(["", "lib", "a/b/c"])("goes into an empty workspace at %j", async (path) => {
    await check(path);
    await put(path);
    expect(isThere(path)).toBe(true);
    expect(existsSync(join(workspace, path, ".git"))).toBe(true);
  });

  it("goes beside what is there, and in the place of an empty folder", async () => {
    mkdirSync(join(workspace, "a/b"), { recursive: true });
    writeFileSync(join(workspace, "a/mine"), "");
    await put("a/b");
    await put("a/c/d");
    expect([isThere("a/b"), isThere("a/c/d"), existsSync(join(workspace, "a/mine"))]).toEqual([true, true, true]);
  });

  it.each(["", "lib", "file"])("takes nobody's place at %j, unless it is forced to", async (path) => {
    mkdirSync(join(workspace, "lib"));
    for (const name of ["lib/mine", "file", ".hidden", Buffer.from([0x62, 0xff])])
      writeFileSync(
        typeof name === "string" ? join(workspace, name) : Buffer.concat([Buffer.from(`${workspace}/`), name]),
        "",
      );
    const before = readdirSync(workspace, { recursive: true });
    await expect(check(path)).rejects.toMatchObject(OCCUPIED);
    await expect(put(path)).rejects.toMatchObject(OCCUPIED);
    expect(readdirSync(workspace, { recursive: true })).toEqual(before);
    await check(path, true);
    await put(path, true);
    expect(readdirSync(join(workspace, path)).sort()).toEqual([".git", "a.txt"]);
  });

  it("takes the place of a link by force only, and not of what the link leads to", async () => {
    symlinkSync(canary, join(workspace, "lib"));
    await expect(check("lib")).rejects.toMatchObject(INVALID);
    await expect(put("lib")).rejects.toMatchObject(INVALID);
    await put("lib", true);
    expect(isThere("lib")).toBe(true);
    expect(lstatSync(join(workspace, "lib")).isSymbolicLink()).toBe(false);
  });

  it.each([false, true])("goes through no link and no file, forced or not (%j)", async (force) => {
    symlinkSync(canary, join(workspace, "out"));
    mkdirSync(join(workspace, "real"));
    symlinkSync("real", join(workspace, "inner"));
    writeFileSync(join(workspace, "file"), "");
    for (const path of ["out/lib", "inner/lib", "file/lib", "out/a/b"]) {
      await expect(check(path, force)).rejects.toMatchObject(INVALID);
      await expect(put(path, force)).rejects.toMatchObject(INVALID);
    }
    expect(readdirSync(join(workspace, "real"))).toEqual([]);
  });

  it.each([false, true])("stays within, whatever changes on the way to its place (forced: %j)", async (force) => {
    mkdirSync(join(workspace, "a"));
    symlinkSync(canary, join(workspace, "link"));
    let isOver = false;
    const swap = async () => {
      while (!isOver) {
        // As a process of the job would, again and again.
        await rename(join(workspace, "a"), join(workspace, "b")).catch(() => {});
        await rename(join(workspace, "link"), join(workspace, "a")).catch(() => {});
        await rename(join(workspace, "a"), join(workspace, "link")).catch(() => {});
        await rename(join(workspace, "b"), join(workspace, "a")).catch(() => {});
      }
    };
    const swapping = [swap(), swap()];
    const ends: unknown[] = [];
    for (let round = 0; round < 40; round += 1)
      await put(round % 2 === 0 ? "a/lib" : "a", force).then(
        () => ends.push("moved"),
        (error) => ends.push(error.reason ?? error.code),
      );
    isOver = true;
    await Promise.all(swapping);
    expect(ends).toHaveLength(40);
  });
});
