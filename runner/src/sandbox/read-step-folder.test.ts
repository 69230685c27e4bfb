import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it } from "vitest";
import { readStepFolder } from "./read-step-folder.ts";

const LIMITS = { maxFiles: 5, maxFileBytes: 10, maxTotalBytes: 15 };
let root: string;
let folder: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "shipfox-folder-"));
  folder = join(root, "given");
  await mkdir(folder);
});

afterEach(async () => {
  await rm(root, { recursive: true, force: true });
});

const put = (name: string, content: string) => writeFile(join(folder, name), content);

it("reads the files in the order of their names", async () => {
  await put("b", "two");
  await put("a", "one");
  await put(".c", "three");
  const { files, skipped, leftOut } = await readStepFolder(folder, LIMITS);
  expect(files.map(({ name, content }) => [name, content.toString()])).toEqual([
    [".c", "three"],
    ["a", "one"],
    ["b", "two"],
  ]);
  expect([skipped, leftOut]).toEqual([[], 0]);
});

it("skips links, pipes, folders and what is too large, each with its reason", async () => {
  await symlink("/etc/passwd", join(folder, "a-link"));
  await promisify(execFile)("mkfifo", [join(folder, "b-pipe")]);
  await mkdir(join(folder, "c-folder"));
  await put("d-large", "x".repeat(11));
  await put("e", "ok");
  const { files, skipped } = await readStepFolder(folder, LIMITS);
  expect(files.map(({ name }) => name)).toEqual(["e"]);
  expect(skipped.map(({ name }) => name)).toEqual(["a-link", "b-pipe", "c-folder", "d-large"]);
});

it("stops at the number of files and at their size together", async () => {
  for (const name of ["a", "b", "c", "d", "e", "f", "g"]) await put(name, "x".repeat(6));
  const { files, skipped, leftOut } = await readStepFolder(folder, LIMITS);
  expect([files.length, skipped.length, leftOut]).toEqual([2, 3, 2]);
});

it("does not leave the folder when the step puts a link in its place", async () => {
  await mkdir(join(root, "secret"));
  await writeFile(join(root, "secret", "key"), "secret");
  await rename(folder, join(root, "moved"));
  await symlink(join(root, "secret"), folder);
  expect(await readStepFolder(folder, LIMITS)).toEqual({ files: [], skipped: [], leftOut: null });
  await rm(folder);
  expect(await readStepFolder(folder, LIMITS)).toMatchObject({ files: [], leftOut: null });
});
