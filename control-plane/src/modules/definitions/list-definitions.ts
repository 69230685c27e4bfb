import type { Definition, DefinitionSync } from "@shipfox/shared/api/definitions";
import { ApiError } from "@shipfox/shared/errors";
import { type Access, requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import { decodeCursor, pageOf } from "../../http/cursor.ts";
import type { Store } from "../../store/store.ts";
import type { ProjectsPort } from "./ports.ts";
import { presentDefinition, presentSync } from "./present.ts";
import { requireProject } from "./save-definition.ts";
import { findSync, listDefinitions } from "./store.ts";

export interface ListRequest {
  readonly caller: Caller;
  /** At least one of the two; the project's page carries the state of its sync. */
  readonly projectId: string | undefined;
  readonly workspaceId: string | undefined;
  readonly limit: number;
  readonly cursor: string | undefined;
}

export interface DefinitionPage {
  definitions: Definition[];
  sync: DefinitionSync | null;
  next_cursor: string | null;
}

/** One page of a project's or a workspace's definitions, by name. */
export async function pageOfDefinitions(
  { store, access, projects }: { store: Store; access: Access; projects: ProjectsPort },
  request: ListRequest,
): Promise<DefinitionPage> {
  const { caller, projectId, workspaceId, limit } = request;
  const after = request.cursor === undefined ? null : decodeCursor(request.cursor, ["string", "string"]);
  return store.read(async (tx) => {
    if (workspaceId !== undefined) await requireAbility(access, tx, caller, workspaceId);
    if (projectId !== undefined) {
      const own = await requireProject({ access, projects }, tx, { caller, projectId });
      if (workspaceId !== undefined && own !== workspaceId) {
        throw new ApiError("project-not-found", "there is no such project in this workspace");
      }
    }
    const scope =
      projectId === undefined
        ? ({ column: "workspace_id", id: workspaceId as string } as const)
        : ({ column: "project_id", id: projectId } as const);
    const rows = await listDefinitions(tx, scope, { after, limit: limit + 1 });
    const { page, nextCursor } = pageOf(rows, limit, (row) => [row.name, row.id]);
    const sync = projectId === undefined ? undefined : await findSync(tx, projectId);
    return {
      definitions: page.map(presentDefinition),
      sync: sync ? presentSync(sync) : null,
      next_cursor: nextCursor,
    };
  });
}
