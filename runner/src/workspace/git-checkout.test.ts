import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CheckoutToken } from "@shipfox/shared/machine";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkOut } from "./git-checkout.ts";
import { GitServer, runTestGit as git } from "./git-server.fixture.ts";
import { Mirrors } from "./mirror.ts";

const NEVER = new AbortController().signal;
const SECRET = GitServer.SECRET;

let root: string;
let server: GitServer;
let origin: string;
let mirrors: Mirrors;
let workspaces: number;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "shipfox-git-"));
  for (const folder of ["projects", "mirrors", "access"]) mkdirSync(join(root, folder));
  workspaces = 0;
  mirrors = newMirrors();
  server = await GitServer.start(join(root, "projects"));
  origin = server.origin;
});

afterEach(async () => {
  await server.stop();
  rmSync(root, { recursive: true, force: true });
});

function newMirrors(allowedProtocols = "https:http:ssh"): Mirrors {
  return new Mirrors({
    mirrorFolder: join(root, "mirrors"),
    folder: join(root, "access"),
    allowedProtocols,
    submoduleHosts: [],
    proxyEnv: {},
    caBundleFile: null,
  });
}

function newRepository(name = "app.git"): string {
  const folder = join(root, "projects", name);
  mkdirSync(folder);
  git(folder, "init", "--quiet");
  return folder;
}

function commit(folder: string, files: Record<string, string>): string {
  for (const [path, content] of Object.entries(files)) writeFileSync(join(folder, path), content);
  git(folder, "add", "--all");
  git(folder, "commit", "--quiet", "-m", "change");
  return git(folder, "rev-parse", "HEAD");
}

function tokenFor(ref: string, changes: Partial<CheckoutToken> = {}): CheckoutToken {
  return { repository_url: `${origin}/app.git/.git`, ref, fetch_depth: 1, auth: server.credential(), ...changes };
}

async function checkOutFresh(token: CheckoutToken, source = mirrors) {
  workspaces += 1;
  const workspace = join(root, `workspace-${workspaces}`);
  mkdirSync(workspace);
  const commitId = await source.withCommit(token, NEVER, (mirrored) =>
    checkOut({ workspace, source: mirrored, token, signal: NEVER }),
  );
  return { workspace, commitId };
}

describe("a checkout", () => {
  it("is an ordinary repository at the commit, with the repository as origin and no credential", async () => {
    const repository = newRepository();
    commit(repository, { "a.txt": "old\n" });
    const head = commit(repository, { "a.txt": "new\n" });
    const { workspace, commitId } = await checkOutFresh(tokenFor(head));
    expect(commitId).toBe(head);
    expect(readFileSync(join(workspace, "a.txt"), "utf8")).toBe("new\n");
    expect(git(workspace, "status", "--porcelain")).toBe("");
    expect(git(workspace, "log", "--format=%H")).toBe(head);
    expect(git(workspace, "remote", "get-url", "origin")).toBe(`${origin}/app.git/.git`);
    expect(git(workspace, "fsck")).toBe("");
    const traces = spawnSync("grep", ["-rlE", `${SECRET}|${Buffer.from(`bot:${SECRET}`).toString("base64")}`, root], {
      encoding: "utf8",
    });
    expect(traces.stdout).toBe("");
  });

  it("takes what it already has from the mirror, without the network, also after a restart", async () => {
    const head = commit(newRepository(), { "a.txt": "1\n" });
    await checkOutFresh(tokenFor(head));
    const before = server.requests.length;
    const { commitId } = await checkOutFresh(tokenFor(head), newMirrors());
    expect(commitId).toBe(head);
    expect(server.requests).toHaveLength(before);
  });

  it("names the commit of a branch when it is fetched ahead, and then asks nobody again", async () => {
    const repository = newRepository();
    commit(repository, { "a.txt": "1\n" });
    const head = commit(repository, { "a.txt": "2\n" });
    const pinned = await mirrors.prefetch(tokenFor("main"), NEVER);
    expect(pinned.ref).toBe(head);
    commit(repository, { "a.txt": "3\n" });
    const before = server.requests.length;
    expect((await checkOutFresh(pinned)).commitId).toBe(head);
    expect(server.requests).toHaveLength(before);
  });

  it("keeps the packs of the newest two commits, each of which is one commit and no history", async () => {
    const repository = newRepository();
    commit(repository, { "a.txt": "0\n" });
    const heads = ["1", "2", "3"].map((text) => commit(repository, { "a.txt": text, [`${text}.txt`]: text }));
    for (const head of [...heads, heads[2] as string]) {
      const { workspace } = await checkOutFresh(tokenFor(head));
      expect(git(workspace, "rev-list", "--all", "HEAD")).toBe(head);
      expect(git(workspace, "fsck", "--full")).toBe("");
    }
    const [mirror = ""] = readdirSync(join(root, "mirrors"));
    const kept = readdirSync(join(root, "mirrors", mirror, "commit-packs"));
    expect(kept.toSorted()).toEqual(heads.slice(1).toSorted());
  });

  it("fetches a newer commit into the same mirror, and serves jobs side by side", async () => {
    const repository = newRepository();
    const first = commit(repository, { "a.txt": "1\n" });
    const second = commit(repository, { "a.txt": "2\n" });
    const results = await Promise.all([first, second, first].map((ref) => checkOutFresh(tokenFor(ref))));
    expect(results.map((result) => result.commitId)).toEqual([first, second, first]);
  });

  it("follows branches and tags, to the whole history when the depth is 0", async () => {
    const repository = newRepository();
    commit(repository, { "a.txt": "1\n" });
    const second = commit(repository, { "a.txt": "2\n" });
    git(repository, "tag", "-a", "v1", "-m", "tag");
    const branch = await checkOutFresh(tokenFor("main", { fetch_depth: 0 }));
    expect(git(branch.workspace, "log", "--format=%H").split("\n")).toHaveLength(2);
    expect((await checkOutFresh(tokenFor("refs/tags/v1"))).commitId).toBe(second);
    const third = commit(repository, { "a.txt": "3\n" });
    expect((await checkOutFresh(tokenFor("main", { fetch_depth: 2 }))).commitId).toBe(third);
  });

  it("makes a damaged mirror anew", async () => {
    const head = commit(newRepository(), { "a.txt": "1\n" });
    await checkOutFresh(tokenFor(head));
    execFileSync("sh", ["-c", `rm -rf ${join(root, "mirrors")}/*/objects/*`]);
    expect((await checkOutFresh(tokenFor(head))).commitId).toBe(head);
  });

  it("runs nothing that a repository brings along", async () => {
    const repository = newRepository();
    const marker = join(root, "ran");
    writeFileSync(join(repository, ".gitattributes"), "* filter=evil\n");
    const head = commit(repository, {
      "a.txt": "1\n",
      ".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = ext::sh -c touch% ran\n',
    });
    git(repository, "config", "filter.evil.smudge", `touch ${marker}`);
    await checkOutFresh(tokenFor(head));
    expect(existsSync(marker)).toBe(false);
  });

  it("reports a refused credential, a missing commit and a missing host each as what it is", async () => {
    const head = commit(newRepository(), { "a.txt": "1\n" });
    await expect(checkOutFresh(tokenFor(head, { auth: undefined }))).rejects.toMatchObject({
      reason: "checkout_auth_failed",
    });
    await expect(checkOutFresh(tokenFor("0".repeat(40)))).rejects.toMatchObject({ reason: "checkout_failed" });
    await expect(checkOutFresh(tokenFor(head, { repository_url: `${origin}/none.git` }))).rejects.toMatchObject({
      reason: "checkout_failed",
    });
    await expect(
      checkOutFresh(tokenFor(head, { repository_url: "http://127.0.0.1:9/app.git", auth: undefined })),
    ).rejects.toMatchObject({ reason: "checkout_unavailable" });
  });

  it("sends the credential to no other host and refuses addresses that are options, files or commands", async () => {
    const head = commit(newRepository(), { "a.txt": "1\n" });
    const foreign = { ...server.credential(), host: "example.com" };
    await expect(checkOutFresh(tokenFor(head, { auth: foreign }))).rejects.toThrow(/was not sent/);
    for (const repository_url of ["--upload-pack=touch x", `file://${root}/projects/app.git`, "ext::sh -c true"]) {
      await expect(checkOutFresh(tokenFor(head, { repository_url, auth: undefined }))).rejects.toMatchObject({
        reason: "checkout_failed",
      });
    }
    await expect(checkOutFresh(tokenFor("--output=x"))).rejects.toMatchObject({ reason: "checkout_failed" });
    expect(server.requests).toEqual([]);
  });

  it("says of a repository on a disk which setting allows it, and that it must be there", async () => {
    const head = commit(newRepository(), { "a.txt": "1\n" });
    const token = tokenFor(head, { repository_url: `file://${root}/projects/app.git/.git`, auth: undefined });
    await expect(checkOutFresh(token)).rejects.toThrow(
      /is there on the runner's own machine.*SHIPFOX_GIT_ALLOW_FILE=true/,
    );
  });

  it("reads a repository of this machine when the operator allows it", async () => {
    const repository = newRepository();
    const head = commit(repository, { "a.txt": "1\n" });
    if (process.getuid?.() === 0) execFileSync("chown", ["-R", "10001", repository]);
    const token = tokenFor(head, { repository_url: `file://${repository}/.git`, auth: undefined });
    expect((await checkOutFresh(token, newMirrors("https:file"))).commitId).toBe(head);
  });

  it("stops git when the job is given up", async () => {
    commit(newRepository(), { "a.txt": "1\n" });
    const abort = new AbortController();
    server.hang(() => abort.abort());
    await expect(mirrors.withCommit(tokenFor("main"), abort.signal, async () => {})).rejects.toThrow(/failed/);
  });
});
