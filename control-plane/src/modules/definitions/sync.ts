import { setImmediate } from "node:timers/promises";
import type { Logger } from "@shipfox/shared/logger";
import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import PQueue from "p-queue";
import type { Clock } from "../../store/clock.ts";
import type { DefinitionRow } from "../../store/schema.ts";
import type { Store, WriteTx } from "../../store/store.ts";
import type { Subscriptions } from "../triggers/public.ts";
import type { DefinitionReader } from "./definition-reader.ts";
import {
  asSyncFailure,
  decideSync,
  decode,
  failureOf,
  fileStates,
  type GoodFile,
  type KnownDefinition,
  type ReadFile,
  type ReadResult,
  SyncFailure,
  unreadable,
  upsertKey,
  warningsOf,
} from "./model.ts";
import { FileLinker } from "./link-files.ts";
import type { FetchedWorkflows, ProjectsPort, WorkflowSource } from "./ports.ts";
import { presentSync } from "./present.ts";
import {
  findSync,
  listSynced,
  listUnfinishedSyncs,
  markSyncApplied,
  markSyncFailed,
  markSyncing,
  markSyncPending,
  removeDefinition,
  upsertDefinition,
} from "./store.ts";

const MAX_CONCURRENT = 4;

export interface DefinitionSyncDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly projects: ProjectsPort;
  readonly source: WorkflowSource;
  readonly reader: DefinitionReader;
  readonly subscriptions: Subscriptions;
}

interface FilesToApply {
  readonly fetched: FetchedWorkflows;
  readonly files: readonly ReadFile[];
  readonly startedAt: number;
}

/**
 * Makes a project's definitions what the workflow files of its default branch say. A file that has a fault keeps the
 * definition it had, and hinders no other. One sync of a project at a time, four projects at once.
 *
 * Its state is a row, written before any work: what a crash interrupts is done again by `start`.
 */
export class DefinitionSync {
  readonly #deps: DefinitionSyncDeps;
  readonly #queue = new PQueue({ concurrency: MAX_CONCURRENT });
  /** Syncs that have not begun to read: whoever asks meanwhile shares them. */
  readonly #waiting = new Map<string, Promise<void>>();
  /** The newest sync of each project that has any. */
  readonly #newest = new Map<string, Promise<void>>();
  #stopped = false;

  constructor(deps: DefinitionSyncDeps) {
    this.#deps = deps;
  }

  /** Takes up what an earlier process left. */
  async start(): Promise<void> {
    for (const projectId of await this.#deps.store.read(listUnfinishedSyncs)) void this.run(projectId);
  }

  /** Writes down that a sync is needed. Follow it with `run` after the commit. */
  request(tx: WriteTx, projectId: string, now: number): Promise<void> {
    return markSyncPending(tx, projectId, now);
  }

  /**
   * Resolves when a sync has ended that began to read after this call, so that it saw everything pushed before it. Calls
   * that come while one is reading share the one after it. Never rejects: how it ended stands in the row.
   */
  run(projectId: string): Promise<void> {
    const waiting = this.#waiting.get(projectId);
    if (waiting) return waiting;
    const before = this.#newest.get(projectId) ?? Promise.resolve();
    const sync = before.then(() => this.#queue.add(() => this.#begin(projectId)));
    this.#waiting.set(projectId, sync);
    this.#newest.set(projectId, sync);
    void sync.then(() => {
      if (this.#newest.get(projectId) === sync) this.#newest.delete(projectId);
    });
    return sync;
  }

  /** Lets what runs end; what waits, or was cut off, stays in its row for the next start. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#newest.values());
  }

  async #begin(projectId: string): Promise<void> {
    this.#waiting.delete(projectId);
    if (this.#stopped) return;
    const startedAt = this.#deps.clock.now();
    try {
      await this.#sync(projectId, startedAt);
    } catch (error) {
      await this.#fail(projectId, error, startedAt);
    }
  }

  async #sync(projectId: string, startedAt: number): Promise<void> {
    const { store, source } = this.#deps;
    if (!(await store.write((tx) => markSyncing(tx, projectId, startedAt)))) return;
    const fetched = await source.fetchWorkflows(projectId);
    if (fetched.files.length === 0) {
      throw new SyncFailure(
        "no-workflow-files",
        `the branch ${fetched.branch} has no .yml or .yaml file in .shipfox/workflows/`,
      );
    }
    const results = new Map<string, ReadResult>();
    for (const { path, content } of fetched.files) {
      // A hundred files must not hold the event loop as one.
      await setImmediate();
      results.set(path, await this.#read(content));
    }
    const linker = new FileLinker((path) => results.get(path));
    const files: ReadFile[] = [];
    for (const [path, result] of results) {
      await setImmediate();
      const key = upsertKey({ projectId, configPath: path, sha: null, ref: fetched.branch }) as string;
      files.push({ path, key, result: linker.link(result, path) });
    }
    await this.#apply(projectId, { fetched, files, startedAt });
  }

  async #read(content: Buffer | null): Promise<ReadResult> {
    const decoded = decode(content);
    if ("fault" in decoded) return decoded.fault;
    try {
      return await this.#deps.reader.read(decoded.text);
    } catch (error) {
      if (!(error instanceof ApiError && error.code === "invalid-workflow-definition")) throw error;
      return unreadable("workflow-too-large", error.message);
    }
  }

  async #apply(projectId: string, { fetched, files, startedAt }: FilesToApply): Promise<void> {
    const { store, clock, log, projects, subscriptions } = this.#deps;
    const now = clock.now();
    const failure = failureOf(files);
    const ids = new Map(files.map((file) => [file.key, newId(now)]));
    await store.write(async (tx) => {
      const workspaceId = await projects.workspaceOf(tx, projectId);
      if (workspaceId === null) return;
      const known = await listKnown(tx, projectId, fetched.branch);
      const { save, remove } = decideSync(files, known);
      const inForce = new Map(
        known.filter(({ id, deleted_at }) => deleted_at === null && !remove.includes(id)).map(pathAndId),
      );
      for (const file of save) {
        const id = ids.get(file.key) as string;
        const saved = await upsertDefinition(tx, store.sql, newRow(file, { id, workspaceId, projectId, fetched, now }));
        inForce.set(...pathAndId(saved));
        await subscriptions.replace(tx, saved, file.triggers, now);
      }
      for (const id of remove) {
        await removeDefinition(tx, id, now);
        await subscriptions.replace(tx, { id, workspace_id: workspaceId, project_id: projectId }, [], now);
      }
      const states = fileStates(files, inForce);
      const end = { ref: fetched.branch, warnings: warningsOf(files), files: states, failure, now };
      await markSyncApplied(tx, projectId, end);
      await subscriptions.settled(tx, projectId, startedAt, now);
    });
    if (failure !== null) log.info({ projectId, reason: failure.message }, "a definition sync found files with faults");
  }

  async #fail(projectId: string, error: unknown, startedAt: number): Promise<void> {
    const { store, clock, log, subscriptions } = this.#deps;
    // The row stays as it is: the sync is done again at the next start.
    if (this.#stopped || (error instanceof ApiError && error.code === "shutting-down")) return;
    const failure =
      asSyncFailure(error) ?? new SyncFailure("unknown", "the sync failed inside the server; its log has the details");
    if (failure.code === "unknown") log.error({ err: error, projectId }, "a definition sync failed unexpectedly");
    else log.info({ projectId, code: failure.code, reason: failure.message }, "a definition sync failed");
    const { code, message } = failure;
    const now = clock.now();
    try {
      await store.write(async (tx) => {
        await markSyncFailed(tx, projectId, { code, message, now });
        await subscriptions.settled(tx, projectId, startedAt, now);
      });
    } catch (writeError) {
      log.error(
        { err: writeError, projectId },
        "the end of a definition sync could not be stored; it is repeated at the next start",
      );
    }
  }
}

async function listKnown(tx: WriteTx, projectId: string, branch: string): Promise<KnownDefinition[]> {
  const sync = await findSync(tx, projectId);
  const files = sync === undefined ? [] : presentSync(sync).files;
  const ids = files.flatMap((file) => file.definition_id ?? []);
  return listSynced(tx, projectId, { refs: [branch, sync?.ref ?? branch], ids });
}

function pathAndId({ config_path, id }: Pick<DefinitionRow, "config_path" | "id">): [string | null, string] {
  return [config_path, id];
}

function newRow(
  { path, key, content }: GoodFile,
  at: { id: string; workspaceId: string; projectId: string; fetched: FetchedWorkflows; now: number },
): DefinitionRow {
  return {
    id: at.id,
    workspace_id: at.workspaceId,
    project_id: at.projectId,
    config_path: path,
    source: "vcs",
    sha: at.fetched.sha,
    ref: at.fetched.branch,
    upsert_key: key,
    ...content,
    last_run_number: 0,
    fetched_at: at.now,
    deleted_at: null,
    created_at: at.now,
    updated_at: at.now,
  };
}
