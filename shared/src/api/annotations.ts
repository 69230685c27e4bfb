import { z } from "zod";
import { id, MAX_CURSOR_CHARS, nextCursor } from "./values.ts";

/** What steps say beside their logs: short Markdown texts, by context. Source of all limits: the published protocol. */

export const MAX_ANNOTATION_BODY_BYTES = 1024 * 1024;
export const MAX_ANNOTATIONS_PER_EXECUTION = 50;
export const MAX_ANNOTATION_BYTES_PER_EXECUTION = 4 * 1024 * 1024;
const MAX_CONTEXT_CODE_POINTS = 255;
const MAX_PAGE_OF_ANNOTATIONS = 500;

export const annotationStyleSchema = z.enum(["default", "info", "success", "warning", "error"]);
export type AnnotationStyle = z.infer<typeof annotationStyleSchema>;

export const annotationContext = z
  .string()
  .trim()
  .refine((text) => text !== "" && Array.from(text).length <= MAX_CONTEXT_CODE_POINTS, {
    message: `must have 1 to ${MAX_CONTEXT_CODE_POINTS} characters`,
  });

export const annotationSchema = z.object({
  id,
  job_id: id,
  job_execution_id: id,
  origin_step_id: id,
  origin_step_attempt: z.int().min(1),
  context: z.string(),
  style: annotationStyleSchema,
  sequence: z.int().min(1),
  body: z.string(),
});
export type Annotation = z.infer<typeof annotationSchema>;

const scope = {
  workflow_run_id: id,
  attempt: z.coerce.number().int().min(1),
  job_execution_id: id.optional(),
};
export const annotationsQuerySchema = z.object({
  ...scope,
  cursor: z.string().min(1).max(MAX_CURSOR_CHARS).optional(),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE_OF_ANNOTATIONS).default(MAX_PAGE_OF_ANNOTATIONS),
});
export const annotationsReplySchema = z.object({
  annotations: z.array(annotationSchema),
  has_more: z.boolean(),
  next_cursor: nextCursor,
});

export const annotationSummaryQuerySchema = z.object(scope);
export const annotationSummarySchema = z.object({
  total: z.int(),
  error: z.int(),
  warning: z.int(),
  info: z.int(),
  success: z.int(),
  step_counts: z.array(z.object({ origin_step_id: id, origin_step_attempt: z.int().min(1), total: z.int() })),
});
export type AnnotationSummary = z.infer<typeof annotationSummarySchema>;
