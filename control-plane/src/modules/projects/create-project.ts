import { ApiError } from "@shipfox/shared/errors";
import { newId } from "@shipfox/shared/ids";
import { type Access, requireAbility } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import type { Clock } from "../../store/clock.ts";
import { ConstraintError } from "../../store/errors.ts";
import type { ProjectRow } from "../../store/schema.ts";
import type { Store, Tx, WriteTx } from "../../store/store.ts";
import type { DefinitionSync } from "../definitions/public.ts";
import type { Git, Located, Sources } from "../integrations/public.ts";
import { slugCandidates } from "../workspaces/public.ts";
import { projectExists } from "./model.ts";
import { findProjectOf, insertProject } from "./store.ts";

const FALLBACK_SLUG = "project";

export interface CreateProjectDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly sources: Sources;
  readonly git: Git;
  readonly syncs: DefinitionSync;
  /** Has the repository looked at for new commits from now on, where its host tells nobody of them. */
  readonly followRepository: (tx: WriteTx, project: ProjectRow, now: number) => Promise<void>;
}

export interface CreateProjectRequest {
  readonly caller: Caller;
  readonly workspaceId: string;
  readonly name: string;
  readonly slug: string | undefined;
  readonly connectionId: string;
  readonly externalId: string;
}

/** Reads the repository first, so that no project is saved that cannot work; its definitions are synced afterwards. */
export async function createProject(deps: CreateProjectDeps, request: CreateProjectRequest): Promise<ProjectRow> {
  const { store, clock, git, syncs } = deps;
  const located = await store.read((tx) => checkRequest(deps, tx, request));
  const { branch } = await git.lsRemote(await located.open({ contents: "read" }));
  const now = clock.now();
  const candidates = request.slug === undefined ? slugCandidates(request.name, FALLBACK_SLUG) : [request.slug];
  const project: Omit<ProjectRow, "slug"> = {
    id: newId(now),
    workspace_id: request.workspaceId,
    name: request.name,
    connection_id: request.connectionId,
    external_repository_id: located.externalId,
    default_branch: branch,
    archived_at: null,
    untrusted_secrets: 0,
    created_at: now,
    updated_at: now,
  };
  try {
    return await store.write(async (tx) => {
      await checkRequest(deps, tx, request);
      for (const slug of candidates) {
        if (!(await insertProject(tx, { ...project, slug }))) continue;
        await syncs.request(tx, project.id, now);
        await deps.followRepository(tx, { ...project, slug }, now);
        await tx.audit(request.caller, {
          workspaceId: request.workspaceId,
          action: "project.created",
          target: { type: "project", id: project.id, name: project.name },
          details: { repository: project.external_repository_id },
        });
        tx.afterCommit(() => void syncs.run(project.id));
        return { ...project, slug };
      }
      throw new ApiError(
        "slug-conflict",
        `the slug ${candidates[0]} is taken in this workspace; choose another one, or leave it out`,
      );
    });
  } catch (error) {
    // Somebody else made the same project between our look and our insert.
    if (!(error instanceof ConstraintError) || error.kind !== "unique") throw error;
    const existing = await store.read((tx) => findProjectOf(tx, project.connection_id, project.external_repository_id));
    throw existing ? projectExists(existing) : error;
  }
}

async function checkRequest(
  { access, sources }: CreateProjectDeps,
  tx: Tx,
  request: CreateProjectRequest,
): Promise<Located> {
  await requireAbility(access, tx, request.caller, request.workspaceId);
  const located = await sources.ofConnection(tx, request);
  const existing = await findProjectOf(tx, request.connectionId, located.externalId);
  if (existing) throw projectExists(existing);
  return located;
}
