import { parseDocument } from "yaml";
import { usageError } from "../cli-error.ts";
import type { WorkflowFile } from "./snapshot.ts";

const TRIGGER = "shipfox_exec";

/** The file as one that can be started by hand: with a manual trigger of ours where it has none. The text must be valid. */
export function fireable({ path, text }: WorkflowFile): { file: WorkflowFile; triggerAdded: boolean } {
  const document = parseDocument(text);
  const { triggers = {} } = document.toJS() as { triggers?: Record<string, { source?: string }> };
  if (Object.values(triggers).some(({ source }) => source === "manual"))
    return { file: { path, text }, triggerAdded: false };
  if (Object.hasOwn(triggers, TRIGGER))
    throw usageError(
      `The trigger ${TRIGGER} of ${path} must have another name.`,
      `rename it, then: shipfox exec ${path}`,
    );
  document.setIn(["triggers", TRIGGER], { source: "manual", event: "fire" });
  return { file: { path, text: document.toString() }, triggerAdded: true };
}
