import { ApiError } from "@shipfox/shared/errors";
import { requireInstanceRole } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import { findWorkspace, setStatus } from "../workspaces/public.ts";
import { type OperationsDeps, requireKey } from "./deps.ts";

/**
 * Nobody reaches a suspended workspace, and no run and no job starts there; jobs that run go on to their end, those that
 * are queued wait until it is opened again. Throws 404 `workspace-not-found`, 409 `workspace-deleted`,
 * `workspace-already-suspended` or `workspace-not-suspended`.
 */
export async function changeWorkspaceStatus(
  { store, clock, access, accessChanged, onReopened }: OperationsDeps,
  caller: Caller,
  change: { workspaceId: string; status: "active" | "suspended"; reason: string | undefined },
): Promise<void> {
  const { workspaceId, status, reason } = change;
  const now = clock.now();
  await store.write(async (tx) => {
    await requireInstanceRole(access, tx, caller);
    requireKey(caller);
    const workspace = await findWorkspace(tx, workspaceId);
    if (!workspace) throw new ApiError("workspace-not-found");
    if (workspace.status === "deleted") throw new ApiError("workspace-deleted");
    if (workspace.status === status) {
      throw new ApiError(status === "suspended" ? "workspace-already-suspended" : "workspace-not-suspended");
    }
    await setStatus(tx, workspaceId, status, now);
    await tx.audit(caller, {
      workspaceId,
      action: status === "suspended" ? "workspace.suspended" : "workspace.reactivated",
      target: { type: "workspace", id: workspaceId, name: workspace.name },
      details: { reason: reason ?? null },
    });
    tx.afterCommit(() => {
      accessChanged({ workspaceId });
      if (status === "active") onReopened(workspaceId);
    });
  });
}
