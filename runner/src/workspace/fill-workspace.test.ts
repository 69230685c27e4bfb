import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { CheckoutToken, SetupConfig } from "@shipfox/shared/machine";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fillWorkspace } from "./fill-workspace.ts";
import { GitServer, runTestGit as git } from "./git-server.fixture.ts";
import { Mirrors } from "./mirror.ts";
import { resolveSubmoduleUrl, submoduleToken } from "./submodule-url.ts";

type Asked = NonNullable<SetupConfig["checkout"]>;
const READ: Asked = { permissions: { contents: "read" }, persist_credentials: false };
const run = promisify(execFile);
const NEVER = new AbortController().signal;

let root: string;
let server: GitServer;
let mirrors: Mirrors;
let workspaces: number;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "shipfox-fill-"));
  for (const folder of ["projects", "mirrors", "access"]) mkdirSync(join(root, folder));
  server = await GitServer.start(join(root, "projects"));
  workspaces = 0;
  mirrors = new Mirrors({
    mirrorFolder: join(root, "mirrors"),
    folder: join(root, "access"),
    allowedProtocols: "https:http:ssh",
    submoduleHosts: [],
    proxyEnv: {},
    caBundleFile: null,
  });
});

afterEach(async () => {
  await server.stop();
  rmSync(root, { recursive: true, force: true });
});

function repository(name: string): string {
  const folder = join(root, "projects", name);
  mkdirSync(folder);
  git(folder, "init", "--quiet");
  return folder;
}

function commit(folder: string, files: Record<string, string>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  git(folder, "add", "--all");
  git(folder, "commit", "--quiet", "-m", "change");
  return git(folder, "rev-parse", "HEAD");
}

/** A commit with a submodule, made without a clone of it. */
function linkSubmodule(folder: string, name: string, path: string, url: string, at: string): string {
  const section = `[submodule "${name.replaceAll('"', '\\"')}"]\n\tpath = ${path}\n\turl = ${url}\n`;
  const before = existsSync(join(folder, ".gitmodules")) ? readFileSync(join(folder, ".gitmodules"), "utf8") : "";
  writeFileSync(join(folder, ".gitmodules"), before + section);
  git(folder, "add", ".gitmodules");
  git(folder, "update-index", "--add", "--cacheinfo", `160000,${at},${path}`);
  git(folder, "commit", "--quiet", "-m", "link");
  return git(folder, "rev-parse", "HEAD");
}

async function fill(ref: string, asked: Partial<Asked>, changes: Partial<CheckoutToken> = {}) {
  workspaces += 1;
  const workspace = join(root, `workspace-${workspaces}`);
  mkdirSync(workspace);
  const token: CheckoutToken = {
    repository_url: `${server.origin}/app/.git`,
    ref,
    fetch_depth: 1,
    auth: server.credential(asked.persist_credentials),
    ...changes,
  };
  const filled = await fillWorkspace({ workspace, mirrors, token, asked: { ...READ, ...asked }, signal: NEVER });
  return { workspace, filled };
}

const configOf = (workspace: string) => readFileSync(join(workspace, ".git", "config"), "utf8");

describe("submodules", () => {
  it("are left alone unless the job asks for them", async () => {
    const lib = commit(repository("lib"), { "lib.txt": "lib\n" });
    const app = repository("app");
    commit(app, { "a.txt": "a\n" });
    const head = linkSubmodule(app, "lib", "vendor/lib", "../../lib/.git", lib);
    const { workspace } = await fill(head, {});
    expect(existsSync(join(workspace, "vendor/lib/lib.txt"))).toBe(false);
  });

  it("are filled at the commits that the repository names, with the same credential on the same host", async () => {
    const inner = commit(repository("inner"), { "inner.txt": "inner\n" });
    const libRepository = repository("lib");
    commit(libRepository, { "lib.txt": "lib\n" });
    const lib = linkSubmodule(libRepository, "inner", "deep", `${server.origin}/inner/.git`, inner);
    commit(libRepository, { "lib.txt": "newer than what the app wants\n" });
    const app = repository("app");
    commit(app, { "a.txt": "a\n" });
    const head = linkSubmodule(app, 'the "lib"', "vendor/lib", "../../lib/.git", lib);

    const direct = await fill(head, { submodules: "direct" });
    expect(readFileSync(join(direct.workspace, "vendor/lib/lib.txt"), "utf8")).toBe("lib\n");
    expect(existsSync(join(direct.workspace, "vendor/lib/deep/inner.txt"))).toBe(false);
    expect(git(direct.workspace, "status", "--porcelain")).toBe("");
    expect(git(direct.workspace, "submodule", "status")).toMatch(new RegExp(`^${lib} vendor/lib`));

    const recursive = await fill(head, { submodules: "recursive" });
    expect(recursive.filled.submodules.map(({ path, commit: at }) => [path, at])).toEqual([
      ["vendor/lib", lib],
      ["vendor/lib/deep", inner],
    ]);
    expect(readFileSync(join(recursive.workspace, "vendor/lib/deep/inner.txt"), "utf8")).toBe("inner\n");
    expect(git(recursive.workspace, "submodule", "status", "--recursive").split("\n")).toHaveLength(2);
    expect(configOf(recursive.workspace)).not.toContain("extraHeader");
  });

  it.each([
    ["a path out of the workspace", "../escape", "../lib/.git", /leads outside/],
    ["a path into .git", "x/.GIT/hooks", "../lib/.git", /leads outside/],
    ["another host", "lib", "https://example.com/lib.git", /not on the repository's own host/],
    ["a command", "lib", "ext::sh -c touch% ran", /not on the repository's own host/],
    ["a file of the runner", "lib", "file:///etc", /not on the repository's own host/],
    ["an option", "lib", "--upload-pack=x", /not on the repository's own host/],
  ])("with %s are refused", async (_, path, url, message) => {
    const lib = commit(repository("lib"), { "lib.txt": "lib\n" });
    const app = repository("app");
    commit(app, { "a.txt": "a\n" });
    writeFileSync(join(app, ".gitmodules"), `[submodule "x"]\n\tpath = ${path}\n\turl = ${url}\n`);
    git(app, "add", ".gitmodules");
    git(app, "update-index", "--add", "--cacheinfo", `160000,${lib},lib`);
    git(app, "commit", "--quiet", "-m", "link");
    await expect(fill(git(app, "rev-parse", "HEAD"), { submodules: "direct" })).rejects.toThrow(message);
    expect(existsSync(join(root, "escape"))).toBe(false);
  });
});

describe("the URL of a submodule", () => {
  it.each([
    ["https://h.example/team/app.git", "../lib.git", "https://h.example/team/lib.git"],
    ["https://h.example:8443/team/app/", "./lib", "https://h.example:8443/team/app/lib"],
    ["https://h.example/team/app.git", "../../other/lib", "https://h.example/other/lib"],
    ["git@h.example:team/app.git", "../lib.git", "git@h.example:team/lib.git"],
    ["ssh://git@h.example/team/app.git", "../lib.git", "ssh://git@h.example/team/lib.git"],
    ["https://h.example/app.git", "https://h.example/x.git", "https://h.example/x.git"],
  ])("of %s, %s, is %s", (repositoryUrl, url, expected) => {
    expect(resolveSubmoduleUrl(repositoryUrl, url)).toBe(expected);
  });

  it("does not lead above the host", () => {
    expect(() => resolveSubmoduleUrl("https://h.example/app.git", "../../../x")).toThrow(/above the root/);
  });

  it("gets the credential on its own host only, and none on a host that the operator lists", () => {
    const auth = { ...server.credential(), host: "h.example" };
    const token: CheckoutToken = { repository_url: "https://h.example/app.git", ref: "main", fetch_depth: 0, auth };
    const allowed = { submoduleHosts: ["other.example"] };
    expect(submoduleToken(token, "https://h.example/lib.git", allowed)).toMatchObject({ auth, fetch_depth: 0 });
    expect(submoduleToken(token, "https://other.example/lib.git", allowed)).not.toHaveProperty("auth");
    for (const url of ["http://h.example/lib.git", "https://h.example:444/lib.git", "https://evil.example/lib.git"])
      expect(() => submoduleToken(token, url, allowed)).toThrow(/not on the repository's own host/);
  });
});

describe("large files [lfs]", () => {
  it("stay pointers unless the job asks for them, and are fetched from the repository's own server", async () => {
    const app = repository("app");
    const content = Buffer.alloc(100_000, "large ");
    const pointer = server.addLargeFile(content);
    const head = commit(app, {
      ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n",
      ".lfsconfig": "[lfs]\n\turl = http://127.0.0.1:9/elsewhere\n",
      "data.bin": pointer,
    });
    const without = await fill(head, {});
    expect(readFileSync(join(without.workspace, "data.bin"), "utf8")).toBe(pointer);
    const asked = await fill(head, { lfs: true });
    expect(readFileSync(join(asked.workspace, "data.bin")).equals(content)).toBe(true);
    expect(git(asked.workspace, "status", "--porcelain")).toBe("");
  });

  it("that the server does not have fail the checkout", async () => {
    const app = repository("app");
    const pointer = server.addLargeFile(Buffer.from("lost"));
    server.largeFiles.clear();
    const head = commit(app, { ".gitattributes": "*.bin filter=lfs -text\n", "data.bin": pointer });
    await expect(fill(head, { lfs: true })).rejects.toThrow(/Fetching the large files/);
  });
});

describe("the credential", () => {
  it("is nowhere in the workspace, unless the job asks to keep it; then git in a step can use it", async () => {
    const app = repository("app");
    const head = commit(app, { "a.txt": "a\n" });
    const plain = await fill(head, {});
    expect(configOf(plain.workspace)).not.toMatch(/extraHeader|Basic/);
    const kept = await fill(head, { persist_credentials: true });
    // Not by `git` above, which would keep the server in this process from answering.
    const { stdout } = await run("git", ["ls-remote", "origin", "HEAD"], { cwd: kept.workspace, timeout: 10_000 });
    expect(stdout).toContain(head);
  });
});
