import { ApiError } from "@shipfox/shared/errors";
import { type Access, requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { AccessChanged } from "../../http/open-streams.ts";
import type { Clock } from "../../store/clock.ts";
import type { WorkspaceRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import type { Removals } from "./removals.ts";
import { findWorkspace, isSlugFree, setStatus, updateWorkspace } from "./store.ts";

export interface ChangeWorkspaceDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly accessChanged: AccessChanged;
  readonly removals: Pick<Removals, "begin">;
}

export function readWorkspace(
  { store, access }: Pick<ChangeWorkspaceDeps, "store" | "access">,
  caller: Caller,
  workspaceId: string,
): Promise<WorkspaceRow> {
  return store.read(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    return requireRow(await findWorkspace(tx, workspaceId));
  });
}

/** Throws 409 `slug-conflict`. */
export function renameWorkspace(
  { store, clock, access }: ChangeWorkspaceDeps,
  caller: Caller,
  { workspaceId, name, slug }: { workspaceId: string; name: string | undefined; slug: string | undefined },
): Promise<WorkspaceRow> {
  const now = clock.now();
  return store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    const before = requireRow(await findWorkspace(tx, workspaceId));
    if (slug !== undefined && slug !== before.slug && !(await isSlugFree(tx, slug)))
      throw new ApiError("slug-conflict", `the slug ${slug} is taken; choose another one`);
    const after = { ...before, name: name ?? before.name, slug: slug ?? before.slug, updated_at: now };
    await updateWorkspace(tx, after);
    await tx.audit(caller, {
      workspaceId,
      action: "workspace.updated",
      target: { type: "workspace", id: workspaceId, name: after.name },
      details: { from: { name: before.name, slug: before.slug }, to: { name: after.name, slug: after.slug } },
    });
    return after;
  });
}

/** For good: nobody reaches it any more, its runners are shut out, its runs are cancelled. Its rows go later, see `eraseDeleted`. */
export async function deleteWorkspace(deps: ChangeWorkspaceDeps, caller: Caller, workspaceId: string): Promise<void> {
  const { store, clock, access } = deps;
  const now = clock.now();
  await store.write(async (tx) => {
    await requireAbility(access, tx, caller, workspaceId);
    const { name } = requireRow(await findWorkspace(tx, workspaceId));
    await deps.removals.begin(tx, workspaceId, now);
    await setStatus(tx, workspaceId, "deleted", now);
    const target = { type: "workspace", id: workspaceId, name };
    await tx.audit(caller, { workspaceId, action: "workspace.deleted", target });
    tx.afterCommit(() => deps.accessChanged({ workspaceId }));
  });
}

function requireRow(row: WorkspaceRow | undefined): WorkspaceRow {
  if (!row) throw new ApiError("not-found", "there is no such workspace");
  return row;
}
