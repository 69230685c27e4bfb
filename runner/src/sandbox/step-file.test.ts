import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { readStepFile } from "./step-file.ts";
import { StepFolder } from "./step-folder.ts";

const folder = await mkdtemp(join(tmpdir(), "shipfox-files-"));
const at = (name: string) => join(folder, name);

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

it("reads a regular file up to its limit", async () => {
  await writeFile(at("plain"), "12345");
  expect(await readStepFile(at("plain"), 5)).toEqual({ kind: "content", content: Buffer.from("12345") });
  expect(await readStepFile(at("plain"), 4)).toEqual({ kind: "too_large", bytes: 5, maxBytes: 4 });
  expect(await readStepFile(at("none"), 4)).toEqual({ kind: "missing" });
});

it("follows no link, waits for no pipe, reads no folder or device", async () => {
  await symlink("/etc/passwd", at("link"));
  await promisify(execFile)("mkfifo", [at("pipe")]);
  await mkdir(at("folder"));
  for (const path of [at("link"), at("pipe"), at("folder"), "/dev/zero"]) {
    expect(await readStepFile(path, 1024)).toEqual({ kind: "not_regular" });
  }
});

it("takes plain names only, each once", async () => {
  const files = new StepFolder(at("steps"), "/inside", { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
  await files.make();
  expect(await files.createFile("out")).toEqual({ host: at("steps/out"), inside: "/inside/out" });
  await expect(files.createFile("out")).rejects.toThrow("EEXIST");
  for (const name of ["", "..", "a/b", ".hidden", "a\nb"])
    await expect(files.createFile(name)).rejects.toThrow("plain file name");
});
