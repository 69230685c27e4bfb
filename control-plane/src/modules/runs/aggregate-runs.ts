import { MAX_FACET_VALUES, type RunAggregates } from "@shipfox/shared/api/runs";
import type { Store } from "../../store/store.ts";
import { filtered, type RunFilters } from "./list-runs.ts";

interface Facet<Value extends string> {
  value: Value;
  count: number;
}

/** How the runs that match spread over statuses, triggers and workflows; counted beside the event loop. */
export async function aggregateRuns(store: Store, filters: RunFilters): Promise<RunAggregates> {
  // A facet ignores its own filter, so that the other choices stay visible.
  const [status, triggerSource, workflow] = await Promise.all([
    facet<RunAggregates["status"][number]["value"]>(store, { ...filters, status: undefined }, "status"),
    facet(store, { ...filters, trigger_source: undefined }, "trigger_source"),
    facet(store, { ...filters, definition_id: undefined }, "definition_id"),
  ]);
  return { status, trigger_source: triggerSource, workflow };
}

function facet<Value extends string>(
  store: Store,
  filters: RunFilters,
  column: "status" | "trigger_source" | "definition_id",
): Promise<Facet<Value>[]> {
  const { sql, parameters } = filtered(filters)
    .select([`${column} as value`, (e) => e.fn.countAll().as("count")])
    .groupBy(column)
    .orderBy("count", "desc")
    .orderBy(column)
    .limit(MAX_FACET_VALUES)
    .compile();
  return store.readSlow<Facet<Value>>(sql, parameters as (string | number)[]);
}
