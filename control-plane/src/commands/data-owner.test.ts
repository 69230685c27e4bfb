import { spawnSync } from "node:child_process";
import { chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { giveToOwnerOf } from "./data-owner.ts";

const OWNER = 12_345;
const MODULE = new URL("./data-owner.ts", import.meta.url).href;

describe.skipIf(process.getuid?.() !== 0)("what root does in a data folder", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "shipfox-owner-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    mkdirSync(join(folder, "logs"));
    writeFileSync(join(folder, "logs", "one"), "");
    chownSync(folder, OWNER, OWNER);
  });

  it("belongs to the owner of the folder afterwards", () => {
    giveToOwnerOf(folder);
    for (const path of ["logs", join("logs", "one")]) expect(statSync(join(folder, path)).uid).toBe(OWNER);
  });

  it("is done as that owner, also one without a name, and as root in a folder of root's", () => {
    const script = `const { becomeOwnerOf } = await import(${JSON.stringify(MODULE)});
      becomeOwnerOf(process.argv[1]); console.log(process.getuid(), process.getgid(), String(process.getgroups()));`;
    const become = (path: string) =>
      spawnSync(process.execPath, ["--input-type=module", "--eval", script, path], { encoding: "utf8" }).stdout.trim();
    expect(become(folder)).toBe(`${OWNER} ${OWNER} ${OWNER}`);
    expect(become(join(folder, "logs"))).toMatch(/^0 0 /);
    expect(become(join(folder, "gone"))).toMatch(/^0 0 /);
  });
});
