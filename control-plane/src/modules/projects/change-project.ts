import { type Access, requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import { ConstraintError } from "../../store/errors.ts";
import type { ProjectRow } from "../../store/schema.ts";
import type { Store, Tx } from "../../store/store.ts";
import type { DefinitionSync } from "../definitions/public.ts";
import { projectNotFound, slugTaken } from "./model.ts";
import { findProject, type ProjectFields, setArchived, updateProject } from "./store.ts";

export interface ChangeProjectDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly syncs: DefinitionSync;
}

export interface ProjectChange {
  readonly caller: Caller;
  readonly projectId: string;
}

/** Changes the given fields of a project. Throws 404 `project-not-found`, 403 `forbidden` and 409 `slug-conflict`. */
export async function changeProject(
  { store, clock, access }: ChangeProjectDeps,
  { caller, projectId, ...fields }: ProjectChange & ProjectFields,
): Promise<ProjectRow> {
  const now = clock.now();
  const { slug } = fields;
  try {
    return await store.write(async (tx) => {
      const before = await requireOwn(access, tx, { caller, projectId });
      const after = await updateProject(tx, before, fields, now);
      if (!after) throw slugTaken(slug ?? before.slug);
      await tx.audit(caller, {
        workspaceId: after.workspace_id,
        action: "project.updated",
        target: { type: "project", id: projectId, name: after.name },
        details: {
          name: [before.name, after.name],
          slug: [before.slug, after.slug],
          untrusted_secrets: [before.untrusted_secrets === 1, after.untrusted_secrets === 1],
        },
      });
      return after;
    });
  } catch (error) {
    // Somebody else took the slug between our look and our update.
    if (error instanceof ConstraintError && error.kind === "unique" && slug !== undefined) throw slugTaken(slug);
    throw error;
  }
}

/**
 * An archived project keeps what it has: its runs go on and stay readable. It starts no new ones and follows its
 * repository no more. Safe to repeat.
 */
export function archiveProject(
  { store, clock, access }: ChangeProjectDeps,
  change: ProjectChange,
): Promise<ProjectRow> {
  const now = clock.now();
  return store.write(async (tx) => {
    const before = await requireOwn(access, tx, change);
    const after = await setArchived(tx, before.id, now, now);
    if (!after) return before;
    await tx.audit(change.caller, {
      workspaceId: after.workspace_id,
      action: "project.archived",
      target: { type: "project", id: after.id, name: after.name },
    });
    return after;
  });
}

/** Brings a project back and syncs what its repository has become meanwhile. Safe to repeat. */
export function unarchiveProject(
  { store, clock, access, syncs }: ChangeProjectDeps,
  change: ProjectChange,
): Promise<ProjectRow> {
  const now = clock.now();
  return store.write(async (tx) => {
    const before = await requireOwn(access, tx, change);
    const after = await setArchived(tx, before.id, null, now);
    if (!after) return before;
    await syncs.request(tx, after.id, now);
    await tx.audit(change.caller, {
      workspaceId: after.workspace_id,
      action: "project.unarchived",
      target: { type: "project", id: after.id, name: after.name },
    });
    tx.afterCommit(() => void syncs.run(after.id));
    return after;
  });
}

async function requireOwn(access: Access, tx: Tx, { caller, projectId }: ProjectChange): Promise<ProjectRow> {
  const project = await findProject(tx, projectId);
  if (!project) throw projectNotFound();
  await requireVisible(access, tx, caller, project.workspace_id, projectNotFound);
  return project;
}
