import { ApiError } from "@shipfox/shared/errors";
import { requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { ConnectionRow } from "../../store/schema.ts";
import type { ConnectionsDeps } from "./create-connection.ts";
import { listProjectsOf, lockConnection, removeConnection, updateConnection } from "./store.ts";
import { type Syncs, syncProjects } from "./sync-projects.ts";

/** Projects that a refusal names. */
const MAX_NAMED_PROJECTS = 20;

export interface ConnectionChange {
  readonly lifecycleStatus: "active" | "disabled" | undefined;
  readonly displayName: string | undefined;
}

/**
 * Renames, disables or enables a connection. One that works again brings its projects up to date: nobody told them what was
 * pushed meanwhile. Throws 404 `not-found`, 403 `forbidden`.
 */
export async function changeConnection(
  { store, clock, access, syncs }: ConnectionsDeps & { readonly syncs: Syncs },
  caller: Caller,
  connectionId: string,
  change: ConnectionChange,
): Promise<ConnectionRow> {
  const now = clock.now();
  return store.write(async (tx) => {
    const found = await lockConnection(tx, store.sql.forUpdate, connectionId);
    if (!found) throw connectionNotFound();
    await requireVisible(access, tx, caller, found.workspace_id, connectionNotFound);
    const changed = {
      ...found,
      lifecycle_status: change.lifecycleStatus ?? found.lifecycle_status,
      display_name: change.displayName ?? found.display_name,
      updated_at: now,
    };
    await updateConnection(tx, changed);
    if (changed.lifecycle_status === "active" && found.lifecycle_status !== "active")
      await syncProjects(tx, syncs, connectionId, now);
    await tx.audit(caller, {
      workspaceId: found.workspace_id,
      action: "connection.updated",
      target: { type: "connection", id: found.id, name: changed.display_name },
      details: { lifecycle_status: change.lifecycleStatus, display_name: change.displayName },
    });
    return changed;
  });
}

/**
 * Removes a connection with its credential. What its provider sends later is dropped; what it sent before stays in the
 * list of events. Throws 404 `not-found`, 403 `forbidden`, 409 `connection-in-use`.
 */
export async function deleteConnection(
  { store, access }: ConnectionsDeps,
  caller: Caller,
  connectionId: string,
): Promise<ConnectionRow> {
  return store.write(async (tx) => {
    const found = await lockConnection(tx, store.sql.forUpdate, connectionId);
    if (!found) throw connectionNotFound();
    await requireVisible(access, tx, caller, found.workspace_id, connectionNotFound);
    const projects = await listProjectsOf(tx, connectionId);
    if (projects.length > 0) {
      const named = projects.slice(0, MAX_NAMED_PROJECTS).map(({ id, name }) => ({ id, name }));
      throw new ApiError(
        "connection-in-use",
        `${projects.length} projects get their code through this connection, archived ones included; disable it instead`,
        { details: { projects: named } },
      );
    }
    await removeConnection(tx, connectionId);
    await tx.audit(caller, {
      workspaceId: found.workspace_id,
      action: "connection.deleted",
      target: { type: "connection", id: found.id, name: found.display_name },
      details: { provider: found.provider },
    });
    return found;
  });
}

export function connectionNotFound(): ApiError {
  return new ApiError("not-found", "there is no such connection that you may see");
}
