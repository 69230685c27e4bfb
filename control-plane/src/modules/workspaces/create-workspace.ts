import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import type { WorkspaceRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { slugCandidates } from "./slug.ts";
import { insertMembership, insertWorkspace } from "./store.ts";

const FALLBACK_SLUG = "workspace";

/** Makes a workspace whose owner is the caller. A given slug that is taken is 409 `slug-conflict`; a derived one gets a number. */
export async function createWorkspace(
  { store, clock }: { store: Store; clock: Clock },
  request: { caller: Caller; name: string; slug: string | undefined },
): Promise<WorkspaceRow> {
  const now = clock.now();
  const candidates = request.slug === undefined ? slugCandidates(request.name, FALLBACK_SLUG) : [request.slug];
  const times = { created_at: now, updated_at: now };
  const base = { id: newId(now), name: request.name, status: "active", last_event: 0, ...times };
  const membershipId = newId(now);
  return store.write(async (tx) => {
    for (const slug of candidates) {
      const workspace = { ...base, slug };
      if (!(await insertWorkspace(tx, workspace))) continue;
      await insertMembership(tx, {
        id: membershipId,
        user_id: request.caller.userId,
        workspace_id: base.id,
        role: "owner",
        ...times,
      });
      await tx.audit(request.caller, {
        workspaceId: workspace.id,
        action: "workspace.created",
        target: { type: "workspace", id: workspace.id, name: workspace.name },
      });
      return workspace;
    }
    throw new ApiError("slug-conflict", `the slug ${candidates[0]} is taken; choose another one, or leave it out`);
  });
}
