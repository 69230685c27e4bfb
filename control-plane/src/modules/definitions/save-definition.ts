import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { type Access, requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import type { DefinitionRow } from "../../store/schema.ts";
import type { Store, Tx } from "../../store/store.ts";
import type { Subscriptions } from "../triggers/public.ts";
import type { Diagnostic } from "../workflow/public.ts";
import { linkDefinition } from "./called-definitions.ts";
import { type DefinitionOrigin, upsertKey } from "./model.ts";
import type { DefinitionReader } from "./definition-reader.ts";
import type { ProjectsPort } from "./ports.ts";
import { upsertDefinition } from "./store.ts";

export interface SaveDefinitionDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly projects: ProjectsPort;
  readonly reader: DefinitionReader;
  readonly subscriptions: Subscriptions;
}

export interface SaveRequest extends DefinitionOrigin {
  readonly caller: Caller;
  readonly source: "manual" | "vcs";
  readonly yaml: string;
}

/** Creates a definition, or replaces the one with the same origin. It can be fired as soon as this resolves. */
export async function saveDefinition(deps: SaveDefinitionDeps, request: SaveRequest): Promise<DefinitionRow> {
  const { store, clock } = deps;
  // First who asks, so that a stranger learns nothing and costs no parsing; again in the unit, for what changed meanwhile.
  await store.read((tx) => requireProject(deps, tx, request));
  const result = await linkDefinition(deps, request, await deps.reader.read(request.yaml));
  if (!result.ok) throw invalidDefinition(result.diagnostics);
  const now = clock.now();
  const { projectId, configPath, sha, ref, source } = request;
  const origin = { project_id: projectId, config_path: configPath, source, sha, ref, upsert_key: upsertKey(request) };
  const times = { fetched_at: now, deleted_at: null, created_at: now, updated_at: now };
  const definition = { id: newId(now), ...origin, ...result.content, last_run_number: 0, ...times };
  return store.write(async (tx) => {
    const workspaceId = await requireProject(deps, tx, request);
    const saved = await upsertDefinition(tx, store.sql, { ...definition, workspace_id: workspaceId });
    await deps.subscriptions.replace(tx, saved, result.triggers, now);
    await tx.audit(request.caller, {
      workspaceId,
      action: "definition.saved",
      target: { type: "definition", id: saved.id, name: saved.name },
    });
    return saved;
  });
}

/** The project's workspace. Throws 404 `project-not-found` for whoever is no member of it. */
export async function requireProject(
  { access, projects }: Pick<SaveDefinitionDeps, "access" | "projects">,
  tx: Tx,
  { caller, projectId }: { caller: Caller; projectId: string },
): Promise<string> {
  const hidden = () => new ApiError("project-not-found", "there is no such project that you may see");
  const workspaceId = await projects.workspaceOf(tx, projectId);
  if (workspaceId === null) throw hidden();
  await requireVisible(access, tx, caller, workspaceId, hidden);
  return workspaceId;
}

function invalidDefinition(diagnostics: readonly Diagnostic[]): ApiError {
  const [first] = diagnostics;
  const count = diagnostics.length === 1 ? "a fault" : `${diagnostics.length} faults`;
  const place = first === undefined ? "" : `: line ${first.line}, column ${first.column}: ${first.message}`;
  return new ApiError("invalid-workflow-definition", `the workflow has ${count}${place}`, { details: diagnostics });
}
