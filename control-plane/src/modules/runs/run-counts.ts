import { Lru } from "../../store/lru.ts";
import type { Store } from "../../store/store.ts";
import { eventsSince, newestEvent } from "./events-since.ts";
import { filtered, type RunFilters } from "./list-runs.ts";

const MAX_KEPT = 1_000;

interface Count {
  readonly value: number;
  /** The last event of the workspace that is known not to have changed it. */
  seen: number;
}

/**
 * How many runs of a project the filters match. A count walks an index, so it is made beside the event loop, and kept until
 * the event log tells that a run of the project began, started or ended.
 */
export class RunCounts {
  readonly #store: Store;
  readonly #kept = new Lru<string, Count>(MAX_KEPT);

  constructor(store: Store) {
    this.#store = store;
  }

  async count(workspaceId: string, filters: RunFilters): Promise<number> {
    const { project_id, status, definition_id, trigger_source, created_from, created_to } = filters;
    const key = JSON.stringify([project_id, status, definition_id, trigger_source, created_from, created_to]);
    const kept = this.#kept.get(key);
    // Looked at before the count: what happens meanwhile makes it be taken again.
    const { newest, holds } = await this.#store.read(async (tx) => {
      const newest = await newestEvent(tx, workspaceId);
      const events = kept ? await eventsSince(tx, workspaceId, kept.seen) : null;
      const changes = events?.some((event) => event.project_id === project_id && event.type.startsWith("run."));
      return { newest, holds: changes === false };
    });
    if (kept && holds) {
      kept.seen = newest;
      return kept.value;
    }
    const { sql, parameters } = filtered(filters)
      .select((e) => e.fn.countAll().as("count"))
      .compile();
    const [row] = await this.#store.readSlow<{ count: number }>(sql, parameters as (string | number)[]);
    const value = row?.count ?? 0;
    this.#kept.set(key, { value, seen: newest });
    return value;
  }
}
