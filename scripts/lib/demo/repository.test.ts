import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { UsageError } from "./options.ts";
import { makeSampleRepository, takeRepository } from "./repository.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "shipfox-demo-test-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();

async function makeSource(): Promise<string> {
  mkdirSync(join(folder, "source"));
  return (await makeSampleRepository(join(folder, "source"))).location;
}

it("takes the commit of a linked worktree and says what is not part of it", async () => {
  const source = await makeSource();
  const worktree = join(folder, "My Work");
  git("-C", source, "worktree", "add", "--quiet", "--detach", worktree);
  writeFileSync(join(worktree, "new.txt"), "not committed\n");

  const taken = await takeRepository("My Work", join(folder, "demo"), folder);

  expect(taken.location).toBe(join(folder, "demo", "My-Work.git"));
  expect(git("-C", taken.location, "rev-parse", "main")).toBe(git("-C", source, "rev-parse", "HEAD"));
  expect(taken.notes.join("\n")).toContain("not committed");
});

it("takes a shallow clone, by its file URL as well", async () => {
  const source = await makeSource();
  writeFileSync(join(source, "second.txt"), "second\n");
  git("-C", source, "add", "--all");
  git("-C", source, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "--message", "second");
  git("clone", "--quiet", "--depth=1", `file://${source}`, join(folder, "shallow"));

  const taken = await takeRepository(`file://${join(folder, "shallow")}`, join(folder, "demo"), folder);

  expect(git("-C", taken.location, "show", "main:second.txt")).toBe("second");
  expect(taken.notes).toHaveLength(1);
});

it.each(["https://example.com/a/b.git", "git@example.com:a/b.git", "ssh://git@example.com/a"])(
  "leaves the URL %s to the control plane",
  async (url) => {
    expect(await takeRepository(url, join(folder, "demo"), folder)).toEqual({
      location: url,
      isLocal: false,
      notes: [],
    });
  },
);

it("refuses in words what is no repository", async () => {
  mkdirSync(join(folder, "empty"));
  git("init", "--quiet", join(folder, "empty"));
  const take = (text: string) => takeRepository(text, join(folder, "demo"), folder);
  await expect(take("nowhere")).rejects.toThrow(UsageError);
  await expect(take("empty")).rejects.toThrow("not a git repository with a commit");
});
