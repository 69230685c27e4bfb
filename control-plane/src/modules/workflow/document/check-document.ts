import { type DiagnosticLog } from "../diagnostics.ts";
import { object, Place } from "./check.ts";
import type { WorkflowDocument } from "./document.ts";
import { env } from "./env.ts";
import { jobs, outputs, runner } from "./job.ts";
import { literal, short, template } from "./text.ts";
import { inputs, triggers } from "./trigger.ts";

const workflow = object({
  what: "a workflow",
  keys: {
    name: short(literal("the name of a workflow")),
    run_name: template("the name of a run"),
    runner,
    env,
    triggers,
    inputs,
    outputs,
    jobs,
  },
  required: ["name", "jobs"],
});

/** Second layer: keys and types, one value at a time. Null when `log` got a fault. */
export function checkDocument(value: Record<string, unknown>, log: DiagnosticLog): WorkflowDocument | null {
  workflow(value, new Place(log));
  // The rules above describe exactly this type; a rule and its field change together.
  return log.isEmpty ? (value as unknown as WorkflowDocument) : null;
}

/** The rules of this layer for editors, JSON Schema draft 2020-12. */
export const WORKFLOW_JSON_SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "Shipfox Workflow",
  description: "One workflow: which jobs run, on which runners, in which order. Reference: docs/workflows.md",
  ...(workflow.schema as object),
};
