import { mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type GitServer, serveGit, TestRepository } from "../../testing/git-repository.ts";
import { type Git, type GitSource, openGit } from "./git.ts";
import type { GitCredential } from "./git-environment.ts";
import { parseRepositoryUrl, type UrlSettings } from "./repository-url.ts";

const urls: UrlSettings = { allowFile: true, allowHttp: true, allowPrivate: true };
const anonymous: GitCredential = { username: null, token: null, sshKey: null };
const TOKEN = "s3cret-token";

let dataDir: string;
let git: Git;
let repository: TestRepository;
let server: GitServer;
let guarded: GitServer;

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "shipfox-git-"));
  git = await openGit({ folder: dataDir, urls, environment: process.env });
  repository = await TestRepository.create();
  await repository.commit({ ".shipfox/workflows/ci.yml": "name: CI\n", "README.md": "hello\n" });
  server = await serveGit(repository);
  guarded = await serveGit(repository, { token: TOKEN });
});
afterAll(async () => {
  await Promise.all([server.close(), guarded.close(), git.close()]);
  await repository.remove();
  await rm(dataDir, { recursive: true });
});

function source(url: string, credential: GitCredential = anonymous): GitSource {
  return { repository: parseRepositoryUrl(url, urls), credential };
}

async function withServer<T>(server: Server, use: (url: string) => Promise<T>): Promise<T> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}/app.git`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

describe("lsRemote", () => {
  it("tells the default branch and its commit, over file and http", async () => {
    const head = { branch: "main", sha: await repository.git("rev-parse", "HEAD") };
    expect(await git.lsRemote(source(repository.fileUrl))).toEqual(head);
    expect(await git.lsRemote(source(server.url))).toEqual(head);
  });

  it("sends the token to the host, and only in the header", async () => {
    await git.lsRemote(source(guarded.url, { username: "bot", token: TOKEN, sshKey: null }));
    expect(guarded.authorizations.at(-1)).toBe(`Basic ${Buffer.from(`bot:${TOKEN}`).toString("base64")}`);
  });

  const credential = { username: "bot", token: "s3cret/token+with=signs", sshKey: null };
  const basic = Buffer.from(`${credential.username}:${credential.token}`).toString("base64");
  it.each([
    ["as it is", credential.token],
    ["as it was sent", basic],
    ["as base64", Buffer.from(credential.token).toString("base64")],
    ["in longer base64", Buffer.from(`{"seen":"${credential.token}"}`).toString("base64")],
    ["in a URL", encodeURIComponent(credential.token)],
    ["where the message is cut", `${"x".repeat(270)} ${credential.token}`],
  ])("shows no token that a host echoes %s", async (_form, echoed) => {
    const line = `ERR denied: ${echoed}`;
    const packet = (line.length + 4).toString(16).padStart(4, "0") + line;
    const type = "application/x-git-upload-pack-advertisement";
    for (const answer of [
      { status: 403, type: "text/plain", body: `denied: ${echoed}\n` },
      { status: 200, type, body: `001e# service=git-upload-pack\n0000${packet}` },
    ]) {
      const hostile = createServer((_request, response) =>
        response.writeHead(answer.status, { "content-type": answer.type }).end(answer.body),
      );
      const error = await withServer(hostile, (url) =>
        git.lsRemote(source(url, credential)).catch((failure: Error) => failure),
      );
      const { message } = error as Error;
      expect(message).toContain("denied: ");
      expect(message).not.toMatch(/s3cret/);
      for (const shown of [credential.token, basic.slice(4, 20), "czNjcmV0L3Rva2", "%2Ftoken"])
        expect(message).not.toContain(shown);
    }
  });

  it("tells a refused credential from a missing repository", async () => {
    await expect(git.lsRemote(source(guarded.url))).rejects.toMatchObject({ code: "access-denied" });
    const wrong = { username: null, token: "wrong", sshKey: null };
    await expect(git.lsRemote(source(guarded.url, wrong))).rejects.toMatchObject({ code: "access-denied" });
    await expect(git.lsRemote(source(server.url.replace("/repository/", "/other/")))).rejects.toMatchObject({
      code: "repository-not-found",
    });
    await expect(git.lsRemote(source(`file://${dataDir}/nothing`))).rejects.toMatchObject({
      code: "repository-not-found",
    });
  });

  it("says that an empty repository is empty", async () => {
    const empty = await TestRepository.create();
    await expect(git.lsRemote(source(empty.fileUrl))).rejects.toThrow(/empty/);
    await empty.remove();
  });

  it("takes a detached head, as build machines leave it", async () => {
    const detached = await TestRepository.create();
    const sha = await detached.commit({ ".shipfox/workflows/a.yml": "name: A\n" });
    await detached.git("checkout", "--quiet", "--detach");
    expect(await git.lsRemote(source(detached.fileUrl))).toEqual({ branch: "HEAD", sha });
    expect((await git.fetchWorkflows(source(detached.fileUrl))).files).toHaveLength(1);
    await detached.remove();
  });

  it("gives up on a host that does not answer", async () => {
    const hasty = await openGit({
      folder: join(dataDir, "hasty"),
      urls,
      environment: process.env,
      lsRemoteTimeoutMs: 300,
    });
    await withServer(
      createServer(() => {}),
      (url) => expect(hasty.lsRemote(source(url))).rejects.toMatchObject({ code: "timeout" }),
    );
    expect(await readdir(join(dataDir, "hasty", "work"))).toEqual([]);
  });

  it("tells a dead host and a host that is no git server", async () => {
    const address = await withServer(createServer(), async (url) => url);
    await expect(git.lsRemote(source(address))).rejects.toMatchObject({ code: "provider-unavailable" });
    await withServer(
      createServer((_request, response) => response.writeHead(500).end()),
      (url) => expect(git.lsRemote(source(url))).rejects.toMatchObject({ code: "provider-unavailable" }),
    );
  });

  it("follows no redirect", async () => {
    const seen: string[] = [];
    const target = createServer((request, response) => {
      seen.push(request.url ?? "");
      response.end();
    });
    await withServer(target, (elsewhere) =>
      withServer(
        createServer((_request, response) => response.writeHead(302, { location: elsewhere }).end()),
        (url) => expect(git.lsRemote(source(url))).rejects.toThrow(/redirect/),
      ),
    );
    expect(seen).toEqual([]);
  });

  it("checks the URL again under the settings of today", async () => {
    const strict = await openGit({
      folder: join(dataDir, "strict"),
      urls: { ...urls, allowFile: false },
      environment: {},
    });
    await expect(strict.lsRemote(source(repository.fileUrl))).rejects.toMatchObject({ code: "invalid-repository-url" });
  });

  it("ignores the configuration of the user and of a repository around the data folder", async () => {
    const outer = await TestRepository.create();
    await outer.git("config", `url.file:///nowhere.insteadOf`, repository.fileUrl);
    await writeFile(join(outer.folder, ".gitconfig"), `[url "file:///nowhere"]\n\tinsteadOf = ${repository.fileUrl}\n`);
    const inside = await openGit({
      folder: join(outer.folder, "data"),
      urls,
      environment: { ...process.env, HOME: outer.folder },
    });
    expect(await inside.lsRemote(source(repository.fileUrl))).toMatchObject({ branch: "main" });
    await outer.remove();
  });
});

describe("fetchWorkflows", () => {
  const workflows = {
    ".shipfox/workflows/ci.yml": "name: CI\n",
    ".shipfox/workflows/team/deploy.yaml": "name: Ünïcode\n",
  };

  async function withRepository(
    files: Record<string, string | Buffer>,
    use: (repository: TestRepository) => Promise<void>,
  ): Promise<void> {
    const own = await TestRepository.create();
    try {
      await own.commit(files);
      await use(own);
    } finally {
      await own.remove();
    }
  }

  it.each(["http", "file"])(
    "reads the workflow files of the default branch over %s, sub-folders too, and nothing else",
    async (protocol) => {
      const other = { ".shipfox/workflows/README.md": "no", ".shipfox/other.yml": "no", "a.yml": "no" };
      await withRepository({ ...workflows, ...other }, async (own) => {
        await symlink("/etc/passwd", join(own.folder, ".shipfox/workflows/link.yml"));
        const sha = await own.commit({});
        const http = await serveGit(own);
        const set = await git.fetchWorkflows(source(protocol === "http" ? http.url : own.fileUrl));
        await http.close();
        expect(set).toMatchObject({ branch: "main", sha });
        expect(Object.fromEntries(set.files.map((file) => [file.path, file.content?.toString()]))).toEqual(workflows);
      });
      expect(await readdir(join(dataDir, "work"))).toEqual([]);
    },
  );

  it("leaves out all other contents when the host can", async () => {
    await withRepository({ ...workflows, "large.bin": Buffer.alloc(3_000_000, "x") }, async (own) => {
      await own.git("config", "uploadpack.allowFilter", "true");
      const http = await serveGit(own);
      expect((await git.fetchWorkflows(source(http.url))).files).toHaveLength(2);
      await http.close();
    });
  });

  it("answers an empty set without the folder", async () => {
    await withRepository({ "README.md": "hello" }, async (own) => {
      expect((await git.fetchWorkflows(source(own.fileUrl))).files).toEqual([]);
    });
  });

  it("leaves out the content of a file over the limit, and reads the others", async () => {
    const files = { ".shipfox/workflows/big.yml": "x".repeat(1_000_001), ".shipfox/workflows/fits.yml": "fits" };
    await withRepository(files, async (own) => {
      expect((await git.fetchWorkflows(source(own.fileUrl))).files).toEqual([
        { path: ".shipfox/workflows/big.yml", content: null },
        { path: ".shipfox/workflows/fits.yml", content: Buffer.from("fits") },
      ]);
    });
  });

  it("refuses a number of files over the limit", async () => {
    const many = Object.fromEntries(
      Array.from({ length: 101 }, (_, index) => [`.shipfox/workflows/${index}.txt`, "x"]),
    );
    await withRepository(many, async (own) => {
      await expect(git.fetchWorkflows(source(own.fileUrl))).rejects.toMatchObject({ code: "too-many-files" });
    });
  });

  it("runs no hook of the repository", async () => {
    await withRepository(workflows, async (own) => {
      const marker = join(own.folder, "ran");
      for (const hook of ["post-checkout", "reference-transaction", "pre-auto-gc"]) {
        await writeFile(join(own.folder, ".git", "hooks", hook), `#!/bin/sh\ntouch ${marker}\n`, { mode: 0o755 });
      }
      await git.fetchWorkflows(source(own.fileUrl));
      expect(await readdir(own.folder)).not.toContain("ran");
    });
  });
});
