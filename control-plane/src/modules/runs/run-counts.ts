import { Lru } from "../../store/lru.ts";
import { newestEvent } from "../../store/newest-event.ts";
import type { Store } from "../../store/store.ts";
import { holdsSince, type Mark } from "./events-since.ts";
import { filtered, type RunFilters } from "./list-runs.ts";
import type { RemovedRuns } from "./removed-runs.ts";

const MAX_KEPT = 1_000;

interface Count extends Mark {
  readonly projectId: string;
  readonly value: number;
}

/**
 * How many runs of a project the filters match. A count walks an index, so it is made beside the event loop, and kept until
 * the event log tells that a run of the project began, started or ended.
 */
export class RunCounts {
  readonly #store: Store;
  readonly #kept = new Lru<string, Count>(MAX_KEPT);

  readonly #removed: RemovedRuns;

  constructor(store: Store, removed: RemovedRuns) {
    this.#store = store;
    this.#removed = removed;
    removed.subscribe((runs) => {
      const projects = new Set(runs.map((run) => run.project_id));
      this.#kept.deleteWhere((count) => projects.has(count.projectId));
    });
  }

  async count(workspaceId: string, filters: RunFilters): Promise<number> {
    const { project_id, status, definition_id, trigger_source, created_from, created_to } = filters;
    const key = JSON.stringify([project_id, status, definition_id, trigger_source, created_from, created_to]);
    const kept = this.#kept.get(key);
    if (kept) {
      const holds = await this.#store.read((tx) =>
        holdsSince(tx, kept, (event) => event.project_id === project_id && event.type.startsWith("run.")),
      );
      if (holds) return kept.value;
    }
    const removals = this.#removed.count;
    // Before the count: what happens meanwhile makes it be taken again.
    const seen = (await this.#store.read((tx) => newestEvent(tx, workspaceId))) ?? 0;
    const { sql, parameters } = filtered(filters)
      .select((e) => e.fn.countAll().as("count"))
      .compile();
    const [row] = await this.#store.readSlow<{ count: number }>(sql, parameters as (string | number)[]);
    const value = row?.count ?? 0;
    if (removals === this.#removed.count) this.#kept.set(key, { value, workspaceId, projectId: project_id, seen });
    return value;
  }
}
