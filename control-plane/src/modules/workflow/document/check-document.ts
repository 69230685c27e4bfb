import { type DiagnosticLog } from "../diagnostics.ts";
import { object, Place } from "./check.ts";
import type { WorkflowDocument } from "./document.ts";
import { env } from "./env.ts";
import { jobs, runner } from "./job.ts";
import { literal, short } from "./text.ts";
import { triggers } from "./trigger.ts";
import { refusals, UNSUPPORTED_KEYS } from "./unsupported.ts";

const workflow = object({
  what: "a workflow",
  keys: { name: short(literal("the name of a workflow")), runner, env, triggers, jobs },
  required: ["name", "jobs"],
  refused: refusals(UNSUPPORTED_KEYS.workflow),
});

/** Second layer: keys and types, one value at a time. Null when `log` got a fault. */
export function checkDocument(value: Record<string, unknown>, log: DiagnosticLog): WorkflowDocument | null {
  workflow(value, new Place(log));
  // The rules above describe exactly this type; a rule and its field change together.
  return log.isEmpty ? (value as unknown as WorkflowDocument) : null;
}
