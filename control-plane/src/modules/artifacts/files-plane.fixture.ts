import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { systemClock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import type { Route } from "../../http/route.ts";
import { type ApiReply, silentLog } from "../../testing/api.ts";
import { FileBlobStore } from "./file-blob-store.ts";
import { createMachineFileRoutes } from "./machine-routes.ts";
import type { FileSettings } from "./model.ts";
import { reapBlobs, removeBlobsOfWorkspace } from "./reaper.ts";
import { Uploads } from "./uploads.ts";

const MEBIBYTE = 1024 * 1024;
const DAY_MS = 24 * 3_600_000;
const LIMITS: FileSettings = {
  maxArtifactBytes: 64 * MEBIBYTE,
  maxRunArtifactBytes: 64 * MEBIBYTE,
  maxWorkspaceArtifactBytes: 64 * MEBIBYTE,
  maxCacheBytes: 64 * MEBIBYTE,
  maxWorkspaceCacheBytes: 64 * MEBIBYTE,
  artifactRetentionMs: 30 * DAY_MS,
};

const YAML = `name: files
jobs:
  build:
    runner: linux
    steps: [{ run: 'true' }]
  test:
    runner: linux
    needs: build
    steps: [{ run: 'true' }]
`;

export type Kind = "artifacts" | "caches";

export function digestOf(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

/** The machine protocol as it is served, with other routes beside; `ServedPlane` of the runners is one. */
export interface Served {
  readonly url: string;
  readonly inside: {
    readonly workspaceId: string;
    fire(yaml: string, projectId: string | undefined, overLimit: "wait", origin: object): Promise<string>;
    finish(executionId: string): Promise<string>;
    addProject(): Promise<string>;
  };
  session(): Promise<string>;
  claim(session: string): Promise<ApiReply>;
  call(method: string, path: string, call: object): Promise<ApiReply>;
}

export type Serve = (store: Store, options: { more: () => Route[] }) => Promise<Served>;

/** A control plane that keeps files, and runners that send and fetch them over its wire. */
export class FilesPlane {
  readonly served: Served;
  readonly folder: string;
  readonly #store: Store;
  readonly #uploads: Uploads;

  private constructor(served: Served, store: Store, folder: string, uploads: Uploads) {
    this.served = served;
    this.folder = folder;
    this.#store = store;
    this.#uploads = uploads;
  }

  static async start(serve: Serve, store: Store, limits: Partial<FileSettings> = {}): Promise<FilesPlane> {
    const folder = await mkdtemp(join(tmpdir(), "shipfox-blobs-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const blobs = new FileBlobStore(folder);
    const uploads = new Uploads(blobs);
    const settings = { ...LIMITS, ...limits };
    const base = { store, clock: systemClock, armDue: () => {} };
    const served = await serve(store, {
      more: () => createMachineFileRoutes({ ...base, blobs, uploads, settings }),
    });
    return new FilesPlane(served, store, folder, uploads);
  }

  /** The lease token of the first job of a new run; `test` needs it. */
  async job(origin: { untrusted?: boolean; ref?: string; projectId?: string } = {}) {
    const { projectId, ...run } = origin;
    const runId = await this.served.inside.fire(YAML, projectId, "wait", run);
    const session = await this.served.session();
    const { body } = await this.served.claim(session);
    return { runId, session, token: body.lease_token as string, executionId: body.job_execution_id as string };
  }

  begin(token: string, kind: Kind, name: string, content: Buffer, more: object = {}): Promise<ApiReply> {
    const body = { size: content.length, sha256: digestOf(content), ...more };
    const named = kind === "artifacts" ? { name } : { key: name };
    return this.served.call("POST", `/runs/jobs/current/${kind}`, { token, body: { ...named, ...body } });
  }

  send(token: string, kind: Kind, uploadId: string, offset: number, part: Buffer): Promise<ApiReply> {
    const headers = { "content-type": "application/octet-stream" };
    const path = `/runs/jobs/current/${kind}/${uploadId}?offset=${offset}`;
    return this.served.call("PUT", path, { token, body: part, headers });
  }

  complete(token: string, kind: Kind, uploadId: string): Promise<ApiReply> {
    return this.served.call("POST", `/runs/jobs/current/${kind}/${uploadId}/complete`, { token });
  }

  /** The whole way; answers what `complete` does, or the first refusal. */
  async upload(token: string, kind: Kind, name: string, content: Buffer, more: object = {}): Promise<ApiReply> {
    const begun = await this.begin(token, kind, name, content, more);
    if (begun.status !== 201) return begun;
    const sent = await this.send(token, kind, begun.body.upload_id, 0, content);
    return sent.status === 200 ? this.complete(token, kind, begun.body.upload_id) : sent;
  }

  needed(token: string, job: string, name: string): Promise<ApiReply> {
    return this.served.call("GET", `/runs/jobs/current/artifacts?job=${job}&name=${name}`, { token });
  }

  async cache(token: string, key: string, ...restoreKeys: string[]) {
    const query = new URLSearchParams({ key });
    for (const beginning of restoreKeys) query.append("restore_keys", beginning);
    const { body } = await this.served.call("GET", `/runs/jobs/current/caches?${query.toString()}`, { token });
    return body.cache as { id: string; key: string; exact: boolean } | null;
  }

  content(token: string, kind: Kind, id: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.served.url}/runs/jobs/current/${kind}/${id}/content`, {
      headers: { authorization: `Bearer ${token}`, ...headers },
    });
  }

  /** Ends the first job and claims the one that needs it. */
  async nextJob({ executionId, session }: { executionId: string; session: string }) {
    await this.served.inside.finish(executionId);
    return (await this.served.claim(session)).body.lease_token as string;
  }

  reap(now: number): Promise<number | null> {
    return reapBlobs({ store: this.#store, uploads: this.#uploads, log: silentLog }, now);
  }

  removeAll(now: number): Promise<boolean> {
    const deps = { store: this.#store, uploads: this.#uploads, log: silentLog };
    return removeBlobsOfWorkspace(deps, this.served.inside.workspaceId, now);
  }

  async files(): Promise<string[]> {
    const entries = await readdir(this.folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
  }

  async usage(): Promise<{ artifact_bytes: number; cache_bytes: number }> {
    const sql = "select artifact_bytes, cache_bytes from blob_usage where workspace_id = ?";
    const row = await this.#store.read((tx) =>
      tx.get<{ artifact_bytes: number; cache_bytes: number }>(sql, [this.served.inside.workspaceId]),
    );
    return row ?? { artifact_bytes: 0, cache_bytes: 0 };
  }
}
