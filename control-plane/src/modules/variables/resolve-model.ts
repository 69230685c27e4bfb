import { ApiError } from "@shipfox/shared/errors";
import type { Tx } from "../../store/store.ts";
import { ScopedValues } from "../secrets/public.ts";
import { resolveVariables, variablesOf, type WorkflowModel } from "../workflow/public.ts";

const variables = new ScopedValues("variables");

/** The values that variables have now, by key: the project's own before the workspace's. */
export async function readVariables(
  tx: Tx,
  place: { readonly workspaceId: string; readonly projectId: string },
  keys: ReadonlySet<string>,
): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  for (const key of keys) {
    const row = await variables.findEffective(tx, place, key);
    if (row) values.set(key, row.value);
  }
  return values;
}

/**
 * The model with the values that its variables have now, for a run that is being created. Throws 422
 * `workflow-interpolation-unresolvable`; then the run must not be created.
 */
export async function resolveModel(
  tx: Tx,
  place: { workspaceId: string; projectId: string },
  model: WorkflowModel,
): Promise<WorkflowModel> {
  const resolved = resolveVariables(model, await readVariables(tx, place, variablesOf(model)));
  if (resolved.ok) return resolved.model;
  const { message, field, source, envKey } = resolved.fault;
  throw new ApiError("workflow-interpolation-unresolvable", message, {
    details: { field, source, ...(envKey === null ? {} : { env_key: envKey }) },
  });
}
