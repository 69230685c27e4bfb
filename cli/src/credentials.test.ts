import { mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { CredentialsStore, configDirectory } from "./credentials.ts";

const URL_A = "http://a.example";
const DEAD_PID = 4_194_304;

let directory: string;
beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), "shipfox-credentials-")), "shipfox");
});
afterEach(async () => await rm(join(directory, ".."), { recursive: true, force: true }));

const stored = (access_token: string) => ({ url: URL_A, email: "a@example.com", access_token, refresh_token: "r" });

describe("the credentials file", () => {
  it("is looked for in SHIPFOX_CONFIG_DIR, then XDG_CONFIG_HOME, then ~/.config", () => {
    expect(configDirectory({ SHIPFOX_CONFIG_DIR: "/c", XDG_CONFIG_HOME: "/x" })).toBe("/c");
    expect(configDirectory({ XDG_CONFIG_HOME: "/x" })).toBe("/x/shipfox");
    expect(configDirectory({ XDG_CONFIG_HOME: "relative" })).toMatch(/\/\.config\/shipfox$/);
  });

  it("can be read by its owner only, and leaves nothing else behind", async () => {
    const store = new CredentialsStore(directory);
    await store.update((file) => {
      file.contexts.a = stored("t");
    });
    expect((await stat(store.path)).mode & 0o777).toBe(0o600);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    expect(await readdir(directory)).toEqual(["credentials.json"]);
  });

  it("loses no change when many write at once", async () => {
    const writers = Array.from({ length: 12 }, (_, index) =>
      new CredentialsStore(directory).update(async (file) => {
        await new Promise((resolve) => setImmediate(resolve));
        file.contexts[`c${index}`] = stored("t");
      }),
    );
    await Promise.all(writers);
    expect(Object.keys((await new CredentialsStore(directory).read()).contexts)).toHaveLength(12);
  });

  it("keeps the old content when a change fails", async () => {
    const store = new CredentialsStore(directory);
    await store.update((file) => {
      file.current = "a";
    });
    const failing = store.update((file) => {
      file.current = null;
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    expect((await store.read()).current).toBe("a");
  });

  it.each([
    ["of a process that died", `${DEAD_PID} ${hostname()} x`, false],
    ["that is too old, of another host", `1 elsewhere x`, true],
  ])("breaks a lock %s", async (_what, owner, old) => {
    const store = new CredentialsStore(directory);
    await store.update(() => undefined);
    const lock = join(directory, "credentials.lock");
    await writeFile(lock, owner);
    if (old) await utimes(lock, 0, 0);
    await store.update((file) => {
      file.current = "a";
    });
    expect(await readdir(directory)).toEqual(["credentials.json"]);
  });

  it("says which file is damaged and what to do", async () => {
    const store = new CredentialsStore(directory);
    await store.update((file) => {
      file.current = "a";
    });
    await writeFile(store.path, "{");
    await expect(store.read()).rejects.toMatchObject({
      code: "credentials-unreadable",
      next: [expect.stringContaining("rm ")],
    });
  });
});
