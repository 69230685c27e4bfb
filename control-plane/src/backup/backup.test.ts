import { execFile, execFileSync } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { CODE_CACHE } from "@shipfox/shared/code-cache.fixture";
import { newId } from "@shipfox/shared/ids";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { KeyRing } from "../modules/secrets/public.ts";
import { silentLog } from "../testing/api.ts";
import { openStore } from "../store/open.ts";
import type { Store } from "../store/store.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const WORKSPACE = newId();

let folder: string;
let data: string;
let backup: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "shipfox-backup-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  data = join(folder, "data");
  backup = join(folder, "monday");
});

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command, on the data folder, or another one. */
function run(words: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { env: { ...CODE_CACHE, SHIPFOX_DATA_DIR: data, ...env } };
    execFile(process.execPath, [MAIN, ...words], options, (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    );
  });
}

/** A data folder that is in use, with an artifact whose file is there and one whose file was deleted. */
async function openData(): Promise<{ store: Store; kept: string; gone: string }> {
  const options = { dataDir: data, onRunEvents: () => {}, onLost: () => {}, log: silentLog };
  KeyRing.load({ dataDir: data });
  const store = await openStore(options);
  onTestFinished(() => store.close());
  const [kept, gone] = [newId(), newId()];
  await store.write(async (tx) => {
    await tx.run(
      "insert into workspaces (id, name, slug, status, last_event, created_at, updated_at) values (?, 'w', 'w', 'active', 0, 0, 0)",
      [WORKSPACE],
    );
    await tx.run("insert into blob_usage (workspace_id, artifact_bytes, cache_bytes) values (?, 10, 0)", [WORKSPACE]);
    for (const id of [kept, gone]) {
      await tx.run(
        `insert into blobs (id, kind, workspace_id, project_id, run_id, job_id, job_execution_id, name, ref, untrusted, size, sha256,
          state, created_at) values (?, 'artifact', ?, 'p', 'r', 'j', ?, 'dist', '', 0, 5, '', 'whole', 0)`,
        [id, WORKSPACE, id],
      );
    }
  });
  mkdirSync(join(data, "blobs", WORKSPACE), { recursive: true });
  writeFileSync(join(data, "blobs", WORKSPACE, kept), "12345");
  mkdirSync(join(data, "logs", WORKSPACE, "e"), { recursive: true });
  writeFileSync(join(data, "logs", WORKSPACE, "e", "s-1.ndjson"), "{}\n");
  return { store, kept, gone };
}

describe("a backup", () => {
  it("is taken of a folder in use, read, and restored into an empty one, with what was deleted meanwhile forgotten", async () => {
    const { kept, gone } = await openData();
    const taken = await run(["backup", backup, "--with-keys"]);
    expect(taken).toMatchObject({ code: 0, stderr: "" });
    expect(taken.stdout).toContain("1 logs and files were deleted while it was taken");
    expect(statSync(backup).mode & 0o777).toBe(0o700);
    expect(statSync(join(backup, "shipfox.db")).mode & 0o777).toBe(0o600);
    expect(await run(["verify", backup])).toMatchObject({ code: 0, stdout: expect.stringContaining("is whole") });
    expect((await run(["restore", backup])).stderr).toContain("in use by another control plane");
    data = join(folder, "restored");
    expect(await run(["restore", backup])).toMatchObject({ code: 0, stderr: "" });
    expect(readFileSync(join(data, "blobs", WORKSPACE, kept), "utf8")).toBe("12345");
    expect(readFileSync(join(data, "root.key"))).toEqual(readFileSync(join(folder, "data", "root.key")));
    const restored = await openStore({ dataDir: data, onRunEvents: () => {}, onLost: () => {}, log: silentLog });
    onTestFinished(() => restored.close());
    const rows = await restored.read((tx) => tx.all<{ id: string; state: string }>("select id, state from blobs"));
    expect(new Map(rows.map(({ id, state }) => [id, state]))).toEqual(
      new Map([
        [kept, "whole"],
        [gone, "dropped"],
      ]),
    );
    expect(await restored.read((tx) => tx.get("select artifact_bytes from blob_usage"))).toEqual({ artifact_bytes: 5 });
  });

  it("has the repositories of the data folder, also those of which everything is packed", async () => {
    const { store } = await openData();
    await store.close();
    const git = (...words: string[]) =>
      execFileSync("git", words, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    const [work, original] = [join(folder, "work"), join(data, "repositories", "hello.git")];
    git("init", "--quiet", work);
    const identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"];
    git("-C", work, ...identity, "commit", "--quiet", "--allow-empty", "--message=hello");
    git("clone", "--quiet", "--bare", work, original);
    git("-C", original, "gc", "--quiet");
    writeFileSync(join(original, "hooks", "post-receive"), "#!/bin/sh\n", { mode: 0o755 });
    writeFileSync(join(original, "packed-refs.lock"), "");
    expect(await run(["backup", backup, "--with-keys"])).toMatchObject({ code: 0 });
    expect(await run(["verify", backup])).toMatchObject({ code: 0 });
    data = join(folder, "restored");
    expect(await run(["restore", backup])).toMatchObject({ code: 0, stderr: "" });
    const restored = join(data, "repositories", "hello.git");
    expect(git("-C", restored, "log", "--format=%H %s")).toBe(git("-C", original, "log", "--format=%H %s"));
    expect(statSync(join(restored, "hooks", "post-receive")).mode & 0o777).toBe(0o700);
    expect(existsSync(join(restored, "packed-refs.lock"))).toBe(false);
  });

  it("is not made where its folder cannot be, and says so", async () => {
    const { store } = await openData();
    await store.close();
    const { code, stderr } = await run(["backup", join(folder, "missing", "monday")]);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `shipfox-control-plane: there is no folder ${folder}/missing for the backup; make or mount it, then repeat\n`,
    });
  });

  it("is not restored when a file of it is changed, missing or too many, over data, or without its key", async () => {
    const { kept } = await openData();
    expect((await run(["backup", backup])).stdout).toContain("It has no root key");
    expect((await run(["backup", backup])).stderr).toContain("is there already");
    const elsewhere = { SHIPFOX_DATA_DIR: join(folder, "restored") };
    expect((await run(["restore", backup], elsewhere)).stderr).toMatch(/the root key \S+ is missing/);
    const used = { SHIPFOX_DATA_DIR: join(folder, "used") };
    mkdirSync(join(folder, "used", "logs"), { recursive: true });
    expect((await run(["restore", backup], used)).stderr).toContain("has data already (logs)");
    const log = join(backup, "logs", WORKSPACE, "e", "s-1.ndjson");
    appendFileSync(log, "x");
    rmSync(join(backup, "blobs", WORKSPACE, kept));
    writeFileSync(join(backup, "extra"), "");
    const { code, stderr } = await run(["restore", backup], elsewhere);
    expect(code).toBe(1);
    for (const fault of [
      "is not as it was written",
      `${kept} is missing`,
      "extra is no part of it",
      "the file of the artifact dist",
    ])
      expect(stderr).toContain(fault);
    expect(existsSync(join(folder, "restored", "logs"))).toBe(false);
  });

  it("that was not restored to its end is one that no control plane starts on, and can be restored again", async () => {
    await openData();
    await run(["backup", backup, "--with-keys"]);
    data = join(folder, "restored");
    mkdirSync(join(data, "logs"), { recursive: true });
    writeFileSync(join(data, "restoring"), "");
    expect((await run(["start"], { PORT: "0" })).stderr).toContain("repeat shipfox-control-plane restore");
    expect(await run(["restore", backup])).toMatchObject({ code: 0 });
    expect(existsSync(join(data, "restoring"))).toBe(false);
  });

  it("of a control plane on PostgreSQL holds what pg_dump wrote, and says what to do with it", async () => {
    KeyRing.load({ dataDir: data });
    const dump = join(folder, "dump");
    writeFileSync(dump, "dumped");
    const postgres = { SHIPFOX_DATABASE_URL: "postgres://nobody@localhost/none" };
    expect((await run(["backup", backup], postgres)).stderr).toContain("pg_dump --format=custom");
    expect(await run(["backup", backup, "--dump", dump, "--with-keys"], postgres)).toMatchObject({ code: 0 });
    data = join(folder, "restored");
    expect((await run(["restore", backup])).stderr).toContain("set SHIPFOX_DATABASE_URL");
    const restored = await run(["restore", backup], postgres);
    expect(restored.stdout).toContain(`pg_restore --clean --if-exists --dbname=… ${join(backup, "database.dump")}`);
  });
});
