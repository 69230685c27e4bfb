import type { Store, WriteTx } from "../../store/store.ts";

/** Runs that are cancelled in one transaction. */
const BATCH = 25;

export interface RemovalDeps {
  readonly store: Store;
  /** Shuts the runners of a workspace out and makes its registration tokens worthless. */
  readonly shutOut: (tx: WriteTx, workspaceId: string, now: number) => Promise<void>;
  /** Cancels some runs that have not ended, and answers how many these were. */
  readonly cancelRuns: (tx: WriteTx, workspaceId: string, limit: number, now: number) => Promise<number>;
  readonly armDue: (at: number) => void;
}

/** Ends the work of workspaces that were deleted: runners in the transaction of the deletion, runs afterwards in batches. */
export class Removals {
  readonly #deps: RemovalDeps;
  readonly #ending = new Set<string>();

  constructor(deps: RemovalDeps) {
    this.#deps = deps;
  }

  /** Goes on with what a crash interrupted. */
  async recover(): Promise<void> {
    const { store } = this.#deps;
    const deleted = await store.read((tx) =>
      tx.all<{ id: string }>("select id from workspaces where status = 'deleted'"),
    );
    for (const { id } of deleted) this.#ending.add(id);
  }

  async begin(tx: WriteTx, workspaceId: string, now: number): Promise<void> {
    await this.#deps.shutOut(tx, workspaceId, now);
    tx.afterCommit(() => {
      this.#ending.add(workspaceId);
      this.#deps.armDue(now);
    });
  }

  /** One batch. Answers when to call again; null when nothing is left. */
  async runDue(now: number): Promise<number | null> {
    const { store, cancelRuns } = this.#deps;
    const [workspaceId] = this.#ending;
    if (workspaceId === undefined) return null;
    const cancelled = await store.write((tx) => cancelRuns(tx, workspaceId, BATCH, now));
    if (cancelled < BATCH) this.#ending.delete(workspaceId);
    return this.#ending.size > 0 ? now : null;
  }
}
