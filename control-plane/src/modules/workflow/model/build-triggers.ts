import type {
  InputDocument,
  ListeningTriggerDocument,
  TriggerDocument,
  WorkflowDocument,
} from "../document/document.ts";
import { PREDICATE_SITES } from "../expressions/contexts.ts";
import { unescapeLiteral } from "../expressions/template.ts";
import { Names } from "../expressions/names.ts";
import { RUN_END_EVENTS, WORKFLOW_SOURCE } from "../run-ends.ts";
import { shorten } from "../shorten.ts";
import { suggest } from "../suggest.ts";
import type { Path } from "../yaml/source-map.ts";
import { isTimezone } from "@shipfox/shared/timezone";
import { cronFault } from "./cron.ts";
import { inFileOrder } from "./file-order.ts";
import type { ManualTriggerModel, TriggerModel } from "./model.ts";
import { named, refuseDuplicateIds } from "./stable-id.ts";
import type { Surroundings } from "./surroundings.ts";

const DEFAULT_TIMEZONE = "UTC";
const NOTHING_KNOWN = new Names(null);

/** Reads the triggers of a workflow: at most one that is fired by hand, and all others in file order. */
export function buildTriggers(
  workflow: WorkflowDocument,
  surroundings: Surroundings,
): { manualTrigger: ManualTriggerModel | null; triggers: TriggerModel[] } {
  const { source, faults } = surroundings;
  const triggers = [...inFileOrder(workflow.triggers ?? {}, ["triggers"], source)];
  const ids = triggers.map(([key]) => named(key, ["triggers", key]));
  refuseDuplicateIds("duplicate-trigger-id", ids, faults);
  const manual = triggers.filter(([, { source: from }]) => from === "manual");
  const [first, second] = manual;
  if (second) {
    const keys = manual.map(([key]) => key).join(", ");
    const message = `${manual.length} triggers are manual (${keys}); a workflow may have one, so keep one of them`;
    const pointAt = ["triggers", second[0]];
    faults.add({ code: "multiple-manual-triggers", message, path: ["triggers"], pointAt, at: "key" });
  }
  for (const [key, { filter, inputs }] of manual) {
    if (inputs !== undefined && workflow.inputs !== undefined) {
      const message = "the workflow declares its inputs at the top, for calls and for this trigger; leave these out";
      faults.add({ code: "invalid-value", message, path: ["triggers", key, "inputs"], at: "key" });
    }
    if (filter === undefined) continue;
    const message = "a manual trigger takes no `filter`: whoever fires it decides";
    faults.add({ code: "invalid-trigger-filter", message, path: ["triggers", key, "filter"] });
  }
  const others = triggers.filter(([, { source: from }]) => from !== "manual");
  return {
    manualTrigger: first ? manualTriggerModel(...first, workflow.inputs) : null,
    triggers: others.map(([key, trigger]) =>
      trigger.source === "cron"
        ? cronTrigger(key, trigger, surroundings)
        : trigger.source === WORKFLOW_SOURCE
          ? workflowTrigger(key, trigger, surroundings)
          : connectionTrigger(key, trigger, surroundings),
    ),
  };
}

function manualTriggerModel(
  key: string,
  trigger: TriggerDocument,
  ofWorkflow: WorkflowDocument["inputs"],
): ManualTriggerModel {
  const inputs = trigger.inputs ?? ofWorkflow;
  return {
    key,
    name: key,
    event: unescapeLiteral(trigger.event),
    with: trigger.with ?? null,
    ...(inputs === undefined ? {} : { inputs: inputs satisfies Record<string, InputDocument> }),
  };
}

function cronTrigger(key: string, trigger: TriggerDocument, { faults }: Surroundings): TriggerModel {
  const path = ["triggers", key];
  const event = unescapeLiteral(trigger.event);
  const { schedule, timezone = DEFAULT_TIMEZONE } = trigger.config ?? {};
  if (event !== "tick") {
    const message = `the event of a cron trigger is \`tick\`; found \`${shorten(event)}\``;
    faults.add({ code: "invalid-cron-event", message, path: [...path, "event"], suggestion: "tick" });
  }
  if (trigger.filter !== undefined) {
    const message = "a cron trigger takes no `filter`: there is nothing to filter";
    faults.add({ code: "invalid-trigger-filter", message, path: [...path, "filter"] });
  }
  if (schedule === undefined) {
    const message = 'a cron trigger needs a schedule: `config: { schedule: "30 2 * * 1-5" }`';
    faults.add({ code: "missing-cron-schedule", message, path: [...path, "config", "schedule"], at: "key" });
  } else {
    const fault = cronFault(schedule);
    if (fault !== null) {
      const message = `\`${shorten(schedule)}\` is not a schedule: ${fault}`;
      faults.add({ code: "invalid-cron-schedule", message, path: [...path, "config", "schedule"] });
    }
  }
  if (!isTimezone(timezone)) {
    const message = `\`${shorten(timezone)}\` is not a time zone; write one such as \`Europe/Paris\` or \`UTC\``;
    faults.add({ code: "invalid-cron-timezone", message, path: [...path, "config", "timezone"] });
  }
  return { key, source: "cron", event, with: trigger.with ?? null, schedule: schedule ?? "", timezone };
}

function connectionTrigger(key: string, trigger: TriggerDocument, surroundings: Surroundings): TriggerModel {
  const path = ["triggers", key];
  const filter = readFilter(trigger, [...path, "filter"], surroundings);
  return {
    key,
    source: unescapeLiteral(trigger.source),
    event: unescapeLiteral(trigger.event),
    with: trigger.with ?? null,
    filter,
  };
}

function workflowTrigger(key: string, trigger: TriggerDocument, surroundings: Surroundings): TriggerModel {
  const model = connectionTrigger(key, trigger, surroundings);
  if (!RUN_END_EVENTS.includes(model.event)) {
    const message = `the event of a workflow trigger is one of ${RUN_END_EVENTS.join(", ")}; found \`${shorten(model.event)}\``;
    const suggestion = suggest(model.event, RUN_END_EVENTS);
    surroundings.faults.add({
      code: "invalid-workflow-trigger",
      message,
      path: ["triggers", key, "event"],
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  }
  return { ...model, workflow: unescapeLiteral(trigger.config?.workflow ?? "") };
}

function readFilter({ filter }: ListeningTriggerDocument, path: Path, { expressions }: Surroundings): string | null {
  if (filter === undefined) return null;
  const site = PREDICATE_SITES.filter;
  return expressions.predicate(filter, { path, site, names: NOTHING_KNOWN, needs: [], code: "invalid-trigger-filter" });
}
