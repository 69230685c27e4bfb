import { z } from "zod";
import { MAX_REPOSITORY_ID_CHARS } from "./integrations.ts";
import { displayName, id, nextCursor, nullableTimestamp, pageQuery, slug, timestamp } from "./values.ts";

export const sourceSchema = z.object({
  connection_id: id,
  external_repository_id: z.string().min(1).max(MAX_REPOSITORY_ID_CHARS),
});

export const projectSchema = z
  .object({
    id,
    workspace_id: id,
    name: z.string(),
    slug: z.string(),
    source: sourceSchema,
    archived_at: nullableTimestamp.meta({ description: "An archived project starts no runs and is not synced" }),
    untrusted_secrets: z
      .boolean()
      .meta({ description: "Runs of an untrusted event, as of a fork, get the secrets that their workflow names" }),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Project" });

export const createProjectBodySchema = z.object({
  workspace_id: id,
  name: displayName,
  slug: slug.optional(),
  source: sourceSchema,
});
export const updateProjectBodySchema = z
  .object({ name: displayName.optional(), slug: slug.optional(), untrusted_secrets: z.boolean().optional() })
  .refine(
    (body) => Object.values(body).some((value) => value !== undefined),
    "name, slug or untrusted_secrets is required",
  );
export const projectsQuerySchema = z.object({
  workspace_id: id,
  search: z.string().min(1).max(100).optional(),
  archived: z
    .enum(["exclude", "include", "only"])
    .default("exclude")
    .meta({ description: "Whether archived projects are listed" }),
  ...pageQuery,
});
export const projectsReplySchema = z.object({ projects: z.array(projectSchema), next_cursor: nextCursor });

export type Project = z.infer<typeof projectSchema>;
