import {
  artifactsQuerySchema,
  artifactsReplySchema,
  cachesQuerySchema,
  cachesReplySchema,
  deleteCachesQuerySchema,
  deleteCachesReplySchema,
} from "@shipfox/shared/api/artifacts";
import { id } from "@shipfox/shared/api/values";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";
import { type Access, requireVisible } from "../../http/access.ts";
import type { Caller } from "../../http/caller.ts";
import { byCreation, decodeCursor, pageOf } from "../../http/cursor.ts";
import { type Route, route } from "../../http/route.ts";
import type { Clock } from "../../store/clock.ts";
import type { BlobRow } from "../../store/schema.ts";
import type { Store, Tx } from "../../store/store.ts";
import { blobReply } from "./blob-reply.ts";
import type { BlobStore } from "./blob-store.ts";
import { fileName, presentArtifact, presentCache } from "./present.ts";
import { dropBlob, findBlob, listArtifacts, listCaches, someCaches } from "./store.ts";

export interface ArtifactRoutesDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly access: Access;
  readonly blobs: BlobStore;
  readonly workspaceOfRun: (tx: Tx, runId: string) => Promise<string | null>;
  readonly projects: { workspaceOf(tx: Tx, projectId: string): Promise<string | null | undefined> };
  /** Something is to be done at this time: a file that must go. */
  readonly armDue: (at: number) => void;
}

/** Caches that one call deletes. */
const MAX_DELETED = 500;
const CURSOR = ["number", "string"] as const;
const oneArtifact = z.object({ artifactId: id });
const ofProject = z.object({ projectId: id });

/** Artifacts and caches for people. */
export function createArtifactRoutes(deps: ArtifactRoutesDeps): Route[] {
  const { store, clock, access, blobs, projects } = deps;

  const visibleArtifact = async (tx: Tx, caller: Caller, artifactId: string): Promise<BlobRow> => {
    const row = await findBlob(tx, artifactId);
    if (row?.kind !== "artifact" || row.state !== "whole") throw noSuchArtifact();
    await requireVisible(access, tx, caller, row.workspace_id, noSuchArtifact);
    return row;
  };
  const requireProject = async (tx: Tx, caller: Caller, projectId: string): Promise<string> => {
    const workspaceId = await projects.workspaceOf(tx, projectId);
    if (!workspaceId) throw noSuchProject();
    await requireVisible(access, tx, caller, workspaceId, noSuchProject);
    return workspaceId;
  };

  return [
    route({
      method: "GET",
      path: "/workflows/runs/{id}/artifacts",
      tag: "Artifacts",
      summary: "The artifacts of a run, oldest first",
      credential: "user",
      needs: "runs:read",
      params: z.object({ id }),
      query: artifactsQuerySchema,
      responses: { 200: artifactsReplySchema },
      errors: ["not-found", "forbidden", "invalid-cursor"],
      handle: async ({ principal, params, query }) => {
        const after = query.cursor === undefined ? null : decodeCursor(query.cursor, CURSOR);
        const rows = await store.read(async (tx) => {
          const workspaceId = await deps.workspaceOfRun(tx, params.id);
          if (workspaceId === null) throw noSuchRun();
          await requireVisible(access, tx, principal, workspaceId, noSuchRun);
          return listArtifacts(tx, params.id, query.limit, after);
        });
        const { page, nextCursor } = pageOf(rows, query.limit, byCreation);
        return { status: 200, body: { artifacts: page.map(presentArtifact), next_cursor: nextCursor } };
      },
    }),
    route({
      method: "GET",
      path: "/artifacts/{artifactId}",
      tag: "Artifacts",
      summary: "Download an artifact, a gzipped tar archive, or some of its bytes",
      credential: "user",
      needs: "runs:read",
      params: oneArtifact,
      responses: { 200: "file", 206: "file" },
      errors: ["artifact-not-found", "forbidden", "range-not-satisfiable"],
      handle: async ({ principal, params, request }) => {
        const row = await store.read((tx) => visibleArtifact(tx, principal, params.artifactId));
        return blobReply(blobs, row, request, { "content-disposition": `attachment; filename="${fileName(row)}"` });
      },
    }),
    route({
      method: "DELETE",
      path: "/artifacts/{artifactId}",
      tag: "Artifacts",
      summary: "Delete an artifact before its time",
      credential: "user",
      needs: "runs:control",
      audit: "artifact.deleted",
      params: oneArtifact,
      responses: { 204: null },
      errors: ["artifact-not-found", "forbidden"],
      handle: async ({ principal, params }) => {
        const now = clock.now();
        await store.write(async (tx) => {
          const row = await visibleArtifact(tx, principal, params.artifactId);
          await dropBlob(tx, row, now);
          tx.afterCommit(() => deps.armDue(now));
          await tx.audit(principal, {
            workspaceId: row.workspace_id,
            action: "artifact.deleted",
            target: { type: "artifact", id: row.id, name: row.name },
            details: { run_id: row.run_id, sha256: row.sha256 },
          });
        });
        return { status: 204 };
      },
    }),
    route({
      method: "GET",
      path: "/projects/{projectId}/caches",
      tag: "Caches",
      summary: "The caches of a project, newest first",
      credential: "user",
      needs: "runs:read",
      params: ofProject,
      query: cachesQuerySchema,
      responses: { 200: cachesReplySchema },
      errors: ["project-not-found", "forbidden", "invalid-cursor"],
      handle: async ({ principal, params, query }) => {
        const before = query.cursor === undefined ? null : decodeCursor(query.cursor, CURSOR);
        const rows = await store.read(async (tx) => {
          await requireProject(tx, principal, params.projectId);
          return listCaches(tx, params.projectId, query.limit, before);
        });
        const { page, nextCursor } = pageOf(rows, query.limit, byCreation);
        return { status: 200, body: { caches: page.map(presentCache), next_cursor: nextCursor } };
      },
    }),
    route({
      method: "DELETE",
      path: "/projects/{projectId}/caches",
      tag: "Caches",
      summary: `Delete the caches of a project, of a key, of a ref, or all; at most ${MAX_DELETED} at once`,
      credential: "user",
      needs: "runs:control",
      audit: "cache.deleted",
      params: ofProject,
      query: deleteCachesQuerySchema,
      responses: { 200: deleteCachesReplySchema },
      errors: ["project-not-found", "forbidden"],
      handle: async ({ principal, params: { projectId }, query: { key, ref } }) => {
        const now = clock.now();
        const deleted = await store.write(async (tx) => {
          const workspaceId = await requireProject(tx, principal, projectId);
          const rows = await someCaches(tx, projectId, { key, ref }, MAX_DELETED);
          for (const row of rows) await dropBlob(tx, row, now);
          tx.afterCommit(() => deps.armDue(now));
          await tx.audit(principal, {
            workspaceId,
            action: "cache.deleted",
            target: { type: "project", id: projectId },
            details: { deleted: rows.length, key: key ?? null, ref: ref ?? null },
          });
          return rows.length;
        });
        return { status: 200, body: { deleted } };
      },
    }),
  ];
}

function noSuchRun(): ApiError {
  return new ApiError("not-found", "there is no such run that you may see");
}

function noSuchArtifact(): ApiError {
  return new ApiError("artifact-not-found", "there is no such artifact that you may see, or it has expired");
}

function noSuchProject(): ApiError {
  return new ApiError("project-not-found", "there is no such project that you may see");
}
