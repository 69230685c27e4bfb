import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { serveGit, TestRepository } from "../../testing/git-repository.ts";
import { gitEnvironment, type GitSurroundings, type RemoteAccess } from "./git-environment.ts";
import { parseRepositoryUrl } from "./repository-url.ts";

const anonymous = { username: null, token: null, sshKey: null };

describe("gitEnvironment", () => {
  let folder: string;
  let surroundings: GitSurroundings;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "shipfox git's "));
    surroundings = {
      home: folder,
      knownHosts: join(folder, "known_hosts"),
      environment: { PATH: process.env["PATH"], SECRET: "x" },
    };
  });
  afterEach(() => rm(folder, { recursive: true }));

  function access(url: string, rest: Partial<RemoteAccess> = {}): RemoteAccess {
    const repository = parseRepositoryUrl(url, { allowFile: true, allowHttp: true, allowPrivate: true });
    return { repository, credential: anonymous, address: null, sshKeyFile: null, ...rest };
  }

  it("hands git nothing of the server's environment but the search path, proxies and certificates", () => {
    const environment = { PATH: "/bin", SECRET: "x", GIT_DIR: "/x", HTTPS_PROXY: "http://proxy:3128", HOME: "/root" };
    const made = gitEnvironment({ ...surroundings, environment }, null);
    expect(made).toMatchObject({
      PATH: "/bin",
      HTTPS_PROXY: "http://proxy:3128",
      HOME: folder,
      GIT_ALLOW_PROTOCOL: "none",
    });
    expect(Object.keys(made)).not.toContain("SECRET");
    expect(Object.keys(made)).not.toContain("GIT_DIR");
  });

  it("connects to the address that was checked, whatever the name leads to now", async () => {
    const repository = await TestRepository.create();
    await repository.commit({ a: "b" });
    const server = await serveGit(repository);
    const url = server.url.replace("127.0.0.1", "git.invalid");
    const env = gitEnvironment(surroundings, access(url, { address: "127.0.0.1" }));
    const { stdout } = await execa("git", ["ls-remote", "origin", "HEAD"], { cwd: folder, env, extendEnv: false });
    expect(stdout).toMatch(/^[0-9a-f]{40}\tHEAD$/);
    await Promise.all([server.close(), repository.remove()]);
  });

  it("gives ssh the key, our list of hosts and the checked address, through any characters in the paths", async () => {
    const sshKeyFile = join(folder, "key");
    const env = gitEnvironment(
      surroundings,
      access("ssh://git@git.example.com:2222/app", { address: "192.0.2.7", sshKeyFile }),
    );
    const { stdout } = await execa("/bin/sh", ["-c", `${env["GIT_SSH_COMMAND"]} -G git@git.example.com`], {
      env,
      extendEnv: false,
    });
    for (const line of [
      "hostname 192.0.2.7",
      "hostkeyalias git.example.com",
      "batchmode yes",
      "stricthostkeychecking accept-new",
      `identityfile ${sshKeyFile}`,
      `userknownhostsfile ${surroundings.knownHosts}`,
    ]) {
      expect(stdout.split("\n")).toContain(line);
    }
  });
});
