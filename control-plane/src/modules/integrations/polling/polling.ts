import { newId } from "@shipfox/shared/ids";
import type { Logger } from "@shipfox/shared/logger";
import type { Clock } from "../../../store/clock.ts";
import type { Store, WriteTx } from "../../../store/store.ts";
import { type StoreDelivery, waitForSync } from "../../triggers/public.ts";
import type { Git } from "../git.ts";
import { GIT_PROVIDER } from "../repository-url.ts";
import type { Sources } from "../sources.ts";
import type { Syncs } from "../sync-projects.ts";
import { decidePushes, type Heads, type Push } from "./heads.ts";
import { claimHeads, dueHeads, type DueHeads, nextDueHeads, planNextLook } from "./store.ts";

/** Repositories looked at side by side; syncs and people need git too. */
const BATCH = 2;
/** Pushes that one look stores; the others come with the next. */
const MAX_PUSHES = 50;
/** A look that a crash cut off is made again after this: longer than git is given. */
const CLAIM_MS = 120_000;
const FIRST_RETRY_MS = 30_000;
const LAST_RETRY_MS = 30 * 60_000;
const JITTER = 0.1;

export interface PollingDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly git: Git;
  readonly sources: Sources;
  readonly syncs: Syncs;
  readonly storeDelivery: StoreDelivery;
  readonly random: () => number;
  /** Between two looks at a repository; 0 looks only when it is asked to. */
  readonly intervalMs: number;
}

/**
 * Looks for new commits on plain git hosts, which tell nobody of a push: each commit that a branch has got since the last look
 * is a `push` event of its connection, and one on the default branch syncs the project.
 */
export class Polling {
  readonly #deps: PollingDeps;

  constructor(deps: PollingDeps) {
    this.#deps = deps;
  }

  /** Looks at some repositories and answers when the next look is due; null when none is. */
  async runDue(now: number): Promise<number | null> {
    const { store } = this.#deps;
    const due = await store.read((tx) => dueHeads(tx, now, BATCH));
    await Promise.all(due.map((row) => this.#look(row)));
    return store.read(nextDueHeads);
  }

  async #look(row: DueHeads): Promise<void> {
    const { store, clock, log, git, sources } = this.#deps;
    const startedAt = clock.now();
    const claimed = { ...row, due_at: startedAt + CLAIM_MS };
    if (!(await store.write((tx) => claimHeads(tx, row, claimed.due_at)))) return;
    if (row.follows === 0) return this.#plan(claimed, { failures: 0, dueAt: this.#nextLook(startedAt) });
    try {
      const located = await store.read((tx) => sources.ofProject(tx, row.project_id));
      const { branch, heads } = await git.heads(await located.open({ contents: "read" }));
      await this.#take(claimed, branch, heads);
    } catch (error) {
      log.info({ err: error, projectId: row.project_id }, "a repository could not be looked at");
      const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** row.failures);
      await this.#plan(claimed, { failures: row.failures + 1, dueAt: this.#spread(clock.now(), wait) });
    }
  }

  async #take(row: DueHeads, branch: string, found: Heads): Promise<void> {
    const { store, clock, storeDelivery, syncs } = this.#deps;
    const now = clock.now();
    const known = row.heads === null ? null : (JSON.parse(row.heads) as Heads);
    const { pushes, seen } = decidePushes(known, found, MAX_PUSHES);
    const dueAt = pushes.length === MAX_PUSHES ? now : this.#nextLook(now);
    await store.write(async (tx) => {
      const looked = { heads: JSON.stringify(seen), looked_at: now, failures: 0, due_at: dueAt };
      if (!(await planNextLook(tx, row, looked))) return;
      for (const push of pushes) {
        const { id } = await storeDelivery(tx, pushDelivery(row, push, branch, now));
        if (push.ref !== `refs/heads/${branch}`) continue;
        await syncs.request(tx, row.project_id, now);
        await waitForSync(tx, id, now);
        tx.afterCommit(() => void syncs.run(row.project_id));
      }
    });
  }

  async #plan(row: DueHeads, { failures, dueAt }: { failures: number; dueAt: number | null }): Promise<void> {
    const { store, clock } = this.#deps;
    const { heads } = row;
    const plan = { heads, looked_at: clock.now(), failures, due_at: dueAt };
    await store.write((tx: WriteTx) => planNextLook(tx, row, plan));
  }

  #nextLook(now: number): number | null {
    const { intervalMs } = this.#deps;
    return intervalMs === 0 ? null : this.#spread(now, intervalMs);
  }

  /** Not all at once, though they were made at once. */
  #spread(now: number, wait: number): number {
    return Math.round(now + wait * (1 + JITTER * (2 * this.#deps.random() - 1)));
  }
}

function pushDelivery(row: DueHeads, push: Push, branch: string, now: number): Parameters<StoreDelivery>[1] {
  const url = row.external_repository_id.slice(GIT_PROVIDER.length + 1);
  const name = nameIn(url);
  return {
    workspaceId: row.workspace_id,
    provider: GIT_PROVIDER,
    source: row.slug,
    event: "push",
    deliveryId: newId(now),
    connectionId: row.connection_id,
    payload: { ...push, repository: { full_name: name, clone_url: url, default_branch: branch } },
    // Whoever may push may change what runs.
    untrusted: false,
    repository: {
      id: row.external_repository_id,
      reference: { repository: name, ref: push.ref, commit: push.after, actor: null },
    },
    receivedAt: now,
  };
}

/** `acme/app` of `https://git.example.com/acme/app.git`. */
function nameIn(url: string): string {
  return new URL(url).pathname.replace(/^\/+/, "").replace(/\.git$/, "");
}
