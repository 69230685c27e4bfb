import { z } from "zod";
import { id, nextCursor, nullableTimestamp, pageQuery, timestamp } from "./values.ts";

export const MAX_WORKFLOW_CHARS = 1_000_000;
/** Of one file of a repository. */
export const MAX_WORKFLOW_BYTES = 1_000_000;
const yaml = z.string().min(1).max(MAX_WORKFLOW_CHARS);
const MAX_REF_CHARS = 255;
/** JSON of any depth that was parsed a moment ago: to look at each value of a large workflow again takes longer than to parse it. */
const parsedWorkflow = z.record(z.string(), z.unknown());

export const definitionSchema = z
  .object({
    id,
    project_id: id,
    config_path: z.string().nullable(),
    source: z.enum(["manual", "vcs"]),
    sha: z.string().nullable(),
    ref: z.string().nullable(),
    name: z.string(),
    workflow_document: parsedWorkflow,
    workflow_model: parsedWorkflow,
    manual_trigger: z.object({ name: z.string() }).nullable(),
    fetched_at: timestamp,
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "Definition" });

export const createDefinitionBodySchema = z
  .object({
    project_id: id,
    yaml,
    config_path: z.string().min(1).max(512).optional(),
    source: z.enum(["manual", "vcs"]).default("manual"),
    sha: z.string().min(1).max(MAX_REF_CHARS).optional(),
    ref: z.string().min(1).max(MAX_REF_CHARS).optional(),
  })
  .refine((body) => body.source === "manual" || body.config_path !== undefined, {
    path: ["config_path"],
    message: "is required when source is vcs",
  })
  .refine((body) => body.source === "manual" || body.sha !== undefined || body.ref !== undefined, {
    path: ["sha"],
    message: "sha or ref is required when source is vcs",
  })
  .refine((body) => body.source === "vcs" || (body.sha === undefined && body.ref === undefined), {
    path: ["sha"],
    message: "sha and ref are only for source vcs",
  });

export const syncErrorCodeSchema = z.enum([
  "no-workflow-files",
  "invalid-definition",
  "provider-repository-not-found",
  "provider-file-not-found",
  "provider-access-denied",
  "provider-rate-limited",
  "provider-timeout",
  "provider-unavailable",
  "provider-malformed-response",
  "content-too-large",
  "too-many-files",
  "connection-unavailable",
  "unknown",
]);

export const diagnosticSchema = z
  .object({
    code: z.string(),
    message: z.string(),
    path: z.string(),
    line: z.int(),
    column: z.int(),
    suggestion: z.string().optional(),
  })
  .meta({ id: "Diagnostic" });

export const syncedFileSchema = z
  .object({
    config_path: z.string(),
    status: z.enum(["active", "invalid"]).meta({
      description: "`invalid`: the file has a fault; the last good version of it, if there is one, stays",
    }),
    definition_id: id.nullable().meta({ description: "The definition that can be run; null when there is none" }),
    diagnostics: z
      .array(diagnosticSchema)
      .meta({ description: "Faults of an invalid file, warnings of an active one; the first 10 in file order" }),
  })
  .meta({ id: "SyncedFile" });

export const syncSchema = z
  .object({
    ref: z.string().nullable(),
    status: z.enum(["pending", "syncing", "succeeded", "failed"]),
    last_sync_at: nullableTimestamp,
    started_at: nullableTimestamp,
    finished_at: nullableTimestamp,
    last_error_code: syncErrorCodeSchema.nullable(),
    last_error_message: z.string().nullable(),
    warnings: z.array(z.object({ code: z.string(), message: z.string(), path: z.string().optional() })),
    files: z
      .array(syncedFileSchema)
      .default([])
      .meta({ description: "Each workflow file of the default branch, as it was when the folder was last read" }),
  })
  .meta({ id: "DefinitionSync" });

export const definitionsQuerySchema = z
  .object({ project_id: id.optional(), workspace_id: id.optional(), ...pageQuery })
  .refine((query) => query.project_id !== undefined || query.workspace_id !== undefined, {
    path: ["project_id"],
    message: "project_id or workspace_id is required",
  });
export const definitionsReplySchema = z.object({
  definitions: z.array(definitionSchema),
  sync: syncSchema.nullable(),
  next_cursor: nextCursor,
});

export const validateDefinitionBodySchema = z.object({ yaml });
export const validateDefinitionReplySchema = z.discriminatedUnion("valid", [
  z.object({
    valid: z.literal(true),
    workflow_document: parsedWorkflow,
    workflow_model: parsedWorkflow,
    warnings: z.array(diagnosticSchema),
    not_runnable: z.array(diagnosticSchema).default([]).meta({
      description:
        "What the workflow says and this version accepts without running it, each with code not-runnable-yet",
    }),
  }),
  z.object({ valid: z.literal(false), errors: z.array(diagnosticSchema) }),
]);

/** Body of fire-manual: strict; `inputs` replaces the trigger's `with` as a whole. */
export const fireManualBodySchema = z.strictObject({ inputs: z.record(z.string(), z.json()).optional() });
export const fireManualReplySchema = z.object({ workflow_run_id: id });

export type Definition = z.infer<typeof definitionSchema>;
export type DefinitionSync = z.infer<typeof syncSchema>;
export type SyncedFile = z.infer<typeof syncedFileSchema>;
export type Diagnostic = z.infer<typeof diagnosticSchema>;
