import { syncSchema } from "@shipfox/shared/api/definitions";
import {
  createProjectBodySchema,
  projectSchema,
  projectsQuerySchema,
  projectsReplySchema,
  updateProjectBodySchema,
} from "@shipfox/shared/api/projects";
import { id } from "@shipfox/shared/api/values";
import { z } from "zod";
import { requireAbility, requireVisible } from "../../http/access.ts";
import { byCreation, decodeCursor, pageOf } from "../../http/cursor.ts";
import { type Route, route } from "../../http/route.ts";
import { archiveProject, changeProject, unarchiveProject } from "./change-project.ts";
import { type CreateProjectDeps, createProject } from "./create-project.ts";
import { presentProject, projectNotFound } from "./model.ts";
import { findProject, listProjects } from "./store.ts";
import { syncProject } from "./sync-project.ts";

const TAG = "Projects";
const byId = z.object({ projectId: id });

export function createProjectRoutes(deps: CreateProjectDeps): Route[] {
  const { store, access } = deps;
  return [
    route({
      method: "POST",
      path: "/projects",
      tag: TAG,
      summary: "Bind a repository; its workflows are synced in the background",
      credential: "user",
      needs: "projects:write",
      audit: "project.created",
      body: createProjectBodySchema,
      responses: { 201: projectSchema },
      errors: [
        "forbidden",
        "source-connection-not-found",
        "source-connection-inactive",
        "integration-capability-unavailable",
        "invalid-repository-url",
        "repository-not-found",
        "access-denied",
        "integration-provider-unavailable",
        "installation-not-found",
        "provider-rejected",
        "malformed-provider-response",
        "rate-limited",
        "timeout",
        "provider-unavailable",
        "project-already-exists",
        "slug-conflict",
      ],
      handle: async ({ principal, body }) => {
        const project = await createProject(deps, {
          caller: principal,
          workspaceId: body.workspace_id,
          name: body.name,
          slug: body.slug,
          connectionId: body.source.connection_id,
          externalId: body.source.external_repository_id,
        });
        return { status: 201, body: presentProject(project) };
      },
    }),
    route({
      method: "GET",
      path: "/projects",
      tag: TAG,
      summary: "A workspace's projects, newest first; archived ones only when asked for",
      credential: "user",
      needs: "projects:read",
      query: projectsQuerySchema,
      responses: { 200: projectsReplySchema },
      errors: ["forbidden", "invalid-cursor"],
      handle: async ({ principal, query: { workspace_id: workspaceId, search, archived, limit, cursor } }) => {
        const after = cursor === undefined ? null : decodeCursor(cursor, ["number", "string"]);
        const rows = await store.read(async (tx) => {
          await requireAbility(access, tx, principal, workspaceId);
          return listProjects(tx, { workspaceId, search, archived, after, limit: limit + 1 });
        });
        const { page, nextCursor } = pageOf(rows, limit, byCreation);
        return { status: 200, body: { projects: page.map(presentProject), next_cursor: nextCursor } };
      },
    }),
    route({
      method: "GET",
      path: "/projects/{projectId}",
      tag: TAG,
      summary: "One project",
      credential: "user",
      needs: "projects:read",
      params: byId,
      responses: { 200: projectSchema },
      errors: ["project-not-found"],
      handle: async ({ principal, params }) => {
        const project = await store.read(async (tx) => {
          const found = await findProject(tx, params.projectId);
          if (!found) throw projectNotFound();
          await requireVisible(access, tx, principal, found.workspace_id, projectNotFound);
          return found;
        });
        return { status: 200, body: presentProject(project) };
      },
    }),
    route({
      method: "PATCH",
      path: "/projects/{projectId}",
      tag: TAG,
      summary: "Change the name or the slug of a project, or whether runs of strangers' code get secrets",
      credential: "user",
      needs: "projects:write",
      audit: "project.updated",
      params: byId,
      body: updateProjectBodySchema,
      responses: { 200: projectSchema },
      errors: ["project-not-found", "forbidden", "slug-conflict"],
      handle: async ({ principal, params, body: { name, slug, untrusted_secrets: untrustedSecrets } }) => {
        const change = { caller: principal, projectId: params.projectId, name, slug, untrustedSecrets };
        return { status: 200, body: presentProject(await changeProject(deps, change)) };
      },
    }),
    route({
      method: "POST",
      path: "/projects/{projectId}/archive",
      tag: TAG,
      summary: "Archive a project: it starts no more runs, is not synced and leaves the list; what runs goes on",
      credential: "user",
      needs: "projects:write",
      audit: "project.archived",
      params: byId,
      responses: { 200: projectSchema },
      errors: ["project-not-found", "forbidden"],
      handle: async ({ principal, params }) => {
        const project = await archiveProject(deps, { caller: principal, projectId: params.projectId });
        return { status: 200, body: presentProject(project) };
      },
    }),
    route({
      method: "POST",
      path: "/projects/{projectId}/unarchive",
      tag: TAG,
      summary: "Bring an archived project back, and sync it",
      credential: "user",
      needs: "projects:write",
      audit: "project.unarchived",
      params: byId,
      responses: { 200: projectSchema },
      errors: ["project-not-found", "forbidden"],
      handle: async ({ principal, params }) => {
        const project = await unarchiveProject(deps, { caller: principal, projectId: params.projectId });
        return { status: 200, body: presentProject(project) };
      },
    }),
    route({
      method: "POST",
      path: "/projects/{projectId}/sync",
      tag: TAG,
      summary: "Sync the workflows of the default branch now; 202 when that takes longer than 30 seconds",
      credential: "user",
      needs: "projects:write",
      audit: "project.synced",
      params: byId,
      responses: { 200: syncSchema, 202: syncSchema },
      errors: ["project-not-found", "forbidden", "project-archived"],
      handle: async ({ principal, params }) => {
        const { finished, sync } = await syncProject(deps, { caller: principal, projectId: params.projectId });
        return { status: finished ? 200 : 202, body: sync };
      },
    }),
  ];
}
