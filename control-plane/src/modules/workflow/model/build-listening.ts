import type { ListeningDocument, ListeningTriggerDocument } from "../document/document.ts";
import { PREDICATE_SITES } from "../expressions/contexts.ts";
import { unescapeLiteral } from "../expressions/template.ts";
import type { Names } from "../expressions/names.ts";
import { MAX_LISTENING_MS, MAX_TIMEOUT_MS, MIN_TIMEOUT_MS } from "../limits.ts";
import { WORKFLOW_SOURCE } from "../run-ends.ts";
import type { Path } from "../yaml/source-map.ts";
import type { ListenerModel, ListeningModel } from "./model.ts";
import type { Surroundings } from "./surroundings.ts";
import { readTimeout } from "./timeout.ts";

const LISTENING_RANGE = {
  minMs: MIN_TIMEOUT_MS,
  maxMs: MAX_LISTENING_MS,
  tooLong: "listening-timeout-exceeds-run-timeout" as const,
};
const BATCH_RANGE = { minMs: MIN_TIMEOUT_MS, maxMs: MAX_TIMEOUT_MS };

/** What a listening job waits for and when it ends; `path` is that of `listening`. */
export function buildListening(
  listening: ListeningDocument,
  path: Path,
  job: { names: Names; needs: readonly string[] },
  surroundings: Surroundings,
): ListeningModel {
  const { faults } = surroundings;
  const { on, until, timeout, max_executions: maxExecutions, batch } = listening;
  if (until === undefined && timeout === undefined && maxExecutions === undefined) {
    const message = "a listening job needs an end: at least one of `until`, `timeout` and `max_executions`";
    faults.add({ code: "listening-job-missing-resolution-source", message, path, at: "key" });
  }
  const listeners = (triggers: ListeningTriggerDocument[], key: string) =>
    triggers.map((trigger, index) => readListener(trigger, [...path, key, index], job, surroundings));
  const wait = (key: "debounce" | "max_wait") =>
    readTimeout(batch?.[key], [...path, "batch", key], faults, BATCH_RANGE);
  return {
    on: listeners(on, "on"),
    until: listeners(until ?? [], "until"),
    timeoutMs: readTimeout(timeout, [...path, "timeout"], faults, LISTENING_RANGE),
    maxExecutions: maxExecutions ?? null,
    batch: batch
      ? { debounceMs: wait("debounce"), maxSize: batch.max_size ?? null, maxWaitMs: wait("max_wait") }
      : null,
    onResolve: listening.on_resolve ?? "finish",
  };
}

function readListener(
  trigger: ListeningTriggerDocument,
  path: Path,
  job: { names: Names; needs: readonly string[] },
  { faults, expressions }: Surroundings,
): ListenerModel {
  const { source, filter } = trigger;
  const code = "invalid-listener-filter";
  const filterPath = [...path, "filter"];
  if (filter !== undefined && (source === "manual" || source === "cron")) {
    const message = `a ${source} trigger takes no \`filter\`: there is nothing to filter`;
    faults.add({ code, message, path: filterPath });
  }
  if (source === WORKFLOW_SOURCE) {
    const message = "a listening job cannot wait for the end of a run; a trigger of a workflow can";
    faults.add({ code: "invalid-workflow-trigger", message, path: [...path, "source"] });
  }
  return {
    source: unescapeLiteral(source),
    event: unescapeLiteral(trigger.event),
    with: trigger.with ?? null,
    filter:
      filter === undefined
        ? null
        : expressions.predicate(filter, { ...job, path: filterPath, site: PREDICATE_SITES.listener, code }),
  };
}
