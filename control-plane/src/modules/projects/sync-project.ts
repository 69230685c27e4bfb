import type { DefinitionSync as SyncBody } from "@shipfox/shared/api/definitions";
import { type Access, requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { type DefinitionSync, findSync, presentSync } from "../definitions/public.ts";
import { projectArchived } from "../runs/public.ts";
import { projectNotFound } from "./model.ts";
import { findProject } from "./store.ts";

/** A client waits this long for the end; the sync itself goes on. */
const MAX_WAIT_MS = 30_000;

export interface SyncProjectDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly syncs: DefinitionSync;
}

/** Syncs a project's definitions. `finished` false: it still runs, and `sync` is how far it is. */
export async function syncProject(
  { store, clock, access, syncs }: SyncProjectDeps,
  { caller, projectId }: { caller: Caller; projectId: string },
): Promise<{ finished: boolean; sync: SyncBody }> {
  const now = clock.now();
  await store.write(async (tx) => {
    const project = await findProject(tx, projectId);
    if (!project) throw projectNotFound();
    const { workspace_id: workspaceId, name } = project;
    await requireVisible(access, tx, caller, workspaceId, projectNotFound);
    if (project.archived_at !== null) throw projectArchived(name);
    await syncs.request(tx, projectId, now);
    await tx.audit(caller, { workspaceId, action: "project.synced", target: { type: "project", id: projectId, name } });
  });
  const finished = await endsInTime(syncs.run(projectId));
  const row = await store.read((tx) => findSync(tx, projectId));
  if (!row) throw projectNotFound();
  return { finished, sync: presentSync(row) };
}

async function endsInTime(work: Promise<void>): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(() => resolve(false), MAX_WAIT_MS);
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
