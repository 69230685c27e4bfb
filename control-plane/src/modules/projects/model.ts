import type { Project } from "@shipfox/shared/api/projects";
import { ApiError } from "@shipfox/shared/errors";
import type { ProjectRow } from "../../store/schema.ts";

export function presentProject(row: ProjectRow): Project {
  return {
    id: row.id,
    workspace_id: row.workspace_id,
    name: row.name,
    slug: row.slug,
    source: { connection_id: row.connection_id, external_repository_id: row.external_repository_id },
    archived_at: row.archived_at === null ? null : new Date(row.archived_at).toISOString(),
    untrusted_secrets: row.untrusted_secrets === 1,
    created_at: new Date(row.created_at).toISOString(),
    updated_at: new Date(row.updated_at).toISOString(),
  };
}

export function projectNotFound(): ApiError {
  return new ApiError("project-not-found", "there is no such project that you may see");
}

export function slugTaken(slug: string): ApiError {
  return new ApiError("slug-conflict", `the slug ${slug} is taken in this workspace; choose another one`);
}

export function projectExists(existing: ProjectRow): ApiError {
  return new ApiError("project-already-exists", `the project ${existing.name} has this repository already`, {
    details: {
      existing_project_id: existing.id,
      source_connection_id: existing.connection_id,
      source_external_repository_id: existing.external_repository_id,
    },
  });
}
