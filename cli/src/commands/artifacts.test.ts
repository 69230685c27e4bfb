import { createHash } from "node:crypto";
import { access, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Artifact } from "@shipfox/shared/api/artifacts";
import { newId } from "@shipfox/shared/ids";
import { StandInServer } from "@shipfox/shared/stand-in-server.fixture";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ids, membership, project } from "../testing/fixtures.ts";
import { CliHome } from "../testing/run-cli.ts";

const LIST = `GET /workflows/runs/${ids.run}/artifacts`;
const CONTENT = { packed: "files" };
const TEXT = JSON.stringify(CONTENT);
const CREATED = "2026-07-07T10:00:00.000Z";

let server: StandInServer;
let home: CliHome;
let folder: string;
beforeEach(async () => {
  server = await StandInServer.start();
  home = await CliHome.create();
  folder = await mkdtemp(join(tmpdir(), "shipfox-artifacts-"));
  await home.signIn(server.url);
  server.on("GET /workspaces", { body: { memberships: [membership()] } });
});
afterEach(async () => {
  await rm(folder, { recursive: true });
  await home[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const artifact = (fields: Partial<Artifact> = {}): Artifact => ({
  id: newId(),
  workspace_id: ids.workspace,
  project_id: ids.project,
  run_id: ids.run,
  job_id: newId(),
  job_execution_id: newId(),
  job_key: "build",
  name: "dist",
  file_name: "dist.tar.gz",
  size: TEXT.length,
  sha256: createHash("sha256").update(TEXT).digest("hex"),
  untrusted: false,
  expires_at: "2026-08-06T10:00:00.000Z",
  created_at: CREATED,
  ...fields,
});

describe("the artifacts of a run", () => {
  it("are listed, and downloaded to a new file when their bytes are right", async () => {
    const one = artifact();
    server.on(LIST, { body: { artifacts: [one], next_cursor: null } });
    server.on(`GET /artifacts/${one.id}`, { body: CONTENT });
    expect((await home.run(["artifacts", "list", ids.run])).stdout).toMatch(/dist +build +18 B .* 2026-08-06/);
    const file = join(folder, "dist.tar.gz");
    const download = ["artifacts", "download", ids.run, "dist", "-o", file];
    expect(await home.run(download)).toMatchObject({ code: 0, stdout: expect.stringContaining("18 B") });
    expect(await readFile(file, "utf8")).toBe(TEXT);
    expect((await home.run(download)).code).toBe(64);
    expect(await readFile(file, "utf8")).toBe(TEXT);
  });

  it("are not kept when the bytes are others, and must be told apart when several have one name", async () => {
    const [one, other] = [artifact({ sha256: "0".repeat(64) }), artifact({ job_key: "test" })];
    server.on(LIST, { body: { artifacts: [one, other], next_cursor: null } });
    server.on(`GET /artifacts/${one.id}`, { body: CONTENT });
    server.on(`DELETE /artifacts/${other.id}`, { status: 204 });
    const file = join(folder, "dist.tar.gz");
    expect((await home.run(["artifacts", "download", ids.run, one.id, "-o", file])).code).not.toBe(0);
    await expect(access(file)).rejects.toThrow("ENOENT");
    const unclear = await home.run(["artifacts", "delete", ids.run, "dist"]);
    expect([unclear.code, unclear.stderr]).toEqual([64, expect.stringContaining("build, test")]);
    const deleted = await home.run(["artifacts", "delete", ids.run, "dist", "--job", "test", "--json"]);
    expect(JSON.parse(deleted.stdout)).toMatchObject({ deleted: { id: other.id } });
  });
});

describe("the caches of a project", () => {
  it("are listed, and deleted by what they are named, or all when that is said", async () => {
    const cache = { project_id: ids.project, ref: "refs/heads/main", size: 2_048, sha256: "0".repeat(64) };
    const row = { ...cache, id: newId(), key: "npm-1", run_id: ids.run, used_at: CREATED, created_at: CREATED };
    const caches = `/projects/${ids.project}/caches`;
    server.on("GET /projects/*", { body: project() });
    server.on(`GET ${caches}`, { body: { caches: [row], next_cursor: null } });
    server.on(`DELETE ${caches}`, ({ query }) => ({
      body: { deleted: server.seen(`DELETE ${caches}`).length % 2 ? (query.size > 0 ? 1 : 500) : 0 },
    }));
    const inProject = ["--project", ids.project];
    expect((await home.run(["caches", "list", ...inProject])).stdout).toMatch(/npm-1 +main +2\.0 KiB/);
    expect((await home.run(["caches", "delete", ...inProject])).code).toBe(64);
    expect((await home.run(["caches", "delete", "--key", "npm-1", ...inProject])).stdout).toContain("Deleted 1 cache ");
    expect((await home.run(["caches", "delete", "--all", ...inProject])).stdout).toContain("Deleted 500 caches");
  });
});
