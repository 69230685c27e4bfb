import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import type { Tx, WriteTx } from "../../store/store.ts";
import type { LabelSet } from "./sessions.ts";
import { LABEL_SET_IDLE_MS, MAX_LABEL_SETS } from "./settings.ts";

/** A set in use has its time of last use renewed this often, not on each job. */
const TOUCH_INTERVAL_MS = 3_600_000;

const FIND = "select id from label_sets where workspace_id = ? and labels = ? and capabilities = ?";
const INSERT = `insert into label_sets (id, workspace_id, labels, capabilities, last_used_at) values (?, ?, ?, ?, ?)
  on conflict (workspace_id, labels, capabilities) do nothing`;
const COUNT = "select count(*) as count from label_sets where workspace_id = ?";
const TOUCH = "update label_sets set last_used_at = ? where id = ?";
const IDLE = `delete from label_sets where last_used_at < ? and not exists (select 1 from queue q where q.label_set_id = label_sets.id)
  returning id`;

interface CachedSet extends LabelSet {
  touchedAt: number;
}

/**
 * Interns what jobs ask for: each distinct canonical label set, with the capabilities needed, is one row with one id.
 * A claim compares ids; it never looks at labels.
 */
export class LabelSets {
  readonly #byKey = new Map<string, CachedSet>();
  readonly #onNew: (set: LabelSet) => void;
  readonly #onRemoved: (set: LabelSet) => void;

  constructor(listeners: { onNew: (set: LabelSet) => void; onRemoved: (set: LabelSet) => void }) {
    this.#onNew = listeners.onNew;
    this.#onRemoved = listeners.onRemoved;
  }

  all(): Iterable<LabelSet> {
    return this.#byKey.values();
  }

  async recover(tx: Tx): Promise<void> {
    const rows = await tx.all<{
      id: string;
      workspace_id: string;
      labels: string;
      capabilities: string;
      last_used_at: number;
    }>("select * from label_sets");
    for (const row of rows) {
      this.#remember({
        id: row.id,
        workspaceId: row.workspace_id,
        labels: JSON.parse(row.labels),
        capabilities: JSON.parse(row.capabilities),
        touchedAt: row.last_used_at,
      });
    }
  }

  /** The id of the set, made when it is new. Throws 422 `workspace-label-sets-exhausted` at the limit. */
  async intern(
    tx: WriteTx,
    workspaceId: string,
    labels: readonly string[],
    capabilities: readonly string[],
    now: number,
  ): Promise<string> {
    const known = this.#byKey.get(keyOf(workspaceId, labels, capabilities));
    if (known) {
      if (now - known.touchedAt > TOUCH_INTERVAL_MS) {
        known.touchedAt = now;
        await tx.run(TOUCH, [now, known.id]);
      }
      return known.id;
    }
    const texts = [workspaceId, JSON.stringify(labels), JSON.stringify(capabilities)];
    const stored = await tx.get<{ id: string }>(FIND, texts);
    if (!stored) {
      const counted = await tx.get<{ count: number }>(COUNT, [workspaceId]);
      if ((counted?.count ?? 0) >= MAX_LABEL_SETS) {
        throw new ApiError(
          "workspace-label-sets-exhausted",
          `the workspace already uses ${MAX_LABEL_SETS} different label sets; use fewer distinct combinations of runner labels`,
        );
      }
      await tx.run(INSERT, [newId(now), ...texts, now]);
    }
    const id = stored?.id ?? (await tx.get<{ id: string }>(FIND, texts))?.id ?? "";
    tx.afterCommit(() => {
      const set = { id, workspaceId, labels: [...labels], capabilities: [...capabilities], touchedAt: now };
      if (this.#remember(set)) this.#onNew(set);
    });
    return id;
  }

  async removeIdle(tx: WriteTx, now: number): Promise<void> {
    const removed = new Set((await tx.all<{ id: string }>(IDLE, [now - LABEL_SET_IDLE_MS])).map((row) => row.id));
    tx.afterCommit(() => {
      for (const [key, set] of this.#byKey) {
        if (!removed.has(set.id)) continue;
        this.#byKey.delete(key);
        this.#onRemoved(set);
      }
    });
  }

  #remember(set: CachedSet): boolean {
    const key = keyOf(set.workspaceId, set.labels, set.capabilities);
    if (this.#byKey.has(key)) return false;
    this.#byKey.set(key, set);
    return true;
  }
}

function keyOf(workspaceId: string, labels: readonly string[], capabilities: readonly string[]): string {
  return `${workspaceId} ${labels.join(",")} ${capabilities.join(",")}`;
}
