import { z } from "zod";
import { id, nextCursor, pageQuery, timestamp } from "./values.ts";

const size = z.int().meta({ description: "Bytes" });
const sha256 = z.string().meta({ description: "SHA-256 of the content, hex" });

export const artifactSchema = z
  .object({
    id,
    workspace_id: id,
    project_id: id,
    run_id: id,
    job_id: id,
    job_execution_id: id,
    job_key: z.string(),
    name: z.string(),
    file_name: z.string().meta({ description: "What the download is called: a gzipped tar archive" }),
    size,
    sha256,
    untrusted: z.boolean().meta({ description: "Made by a run of an untrusted event, as of a fork" }),
    expires_at: timestamp.nullable().meta({ description: "Deleted then; null: with its run" }),
    created_at: timestamp,
  })
  .meta({ id: "Artifact" });

export const cacheSchema = z
  .object({
    id,
    project_id: id,
    ref: z.string().meta({ description: "Runs of this ref use it; of the default branch, all of them" }),
    key: z.string(),
    size,
    sha256,
    run_id: id.meta({ description: "The run that saved it" }),
    used_at: timestamp.meta({ description: "When a job got it last, or saved it" }),
    created_at: timestamp,
  })
  .meta({ id: "Cache" });

export const artifactsQuerySchema = z.object(pageQuery);
export const artifactsReplySchema = z.object({ artifacts: z.array(artifactSchema), next_cursor: nextCursor });
export const cachesQuerySchema = z.object(pageQuery);
export const cachesReplySchema = z.object({ caches: z.array(cacheSchema), next_cursor: nextCursor });
export const deleteCachesQuerySchema = z.object({
  key: z.string().min(1).max(512).optional().meta({ description: "Only those of this key" }),
  ref: z.string().min(1).max(512).optional().meta({ description: "Only those of this ref" }),
});
export const deleteCachesReplySchema = z.object({ deleted: z.int() });

export type Artifact = z.infer<typeof artifactSchema>;
export type Cache = z.infer<typeof cacheSchema>;
