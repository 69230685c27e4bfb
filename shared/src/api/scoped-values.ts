import { z } from "zod";
import { DEFAULT_PAGE, id, MAX_CURSOR_CHARS, nextCursor, timestamp } from "./values.ts";

/** Secrets and variables: values with a key, of a workspace or of one project of it. Source of all limits: the published API. */

export const MAX_KEY_CHARS = 128;
export const KEY_PATTERN = /^[A-Z_][A-Z0-9_]*$/;
export const MAX_VALUE_BYTES = 64 * 1024;
/** A batch of the largest values; more than that many small ones are several batches. */
export const MAX_BATCH_BODY_BYTES = 4 * 1024 * 1024;
const MAX_BATCH_ENTRIES = 1_000;
const MAX_PAGE_OF_VALUES = 10_000;
export const MAX_LISTED_VALUE_CHARS = 256;
/** A shorter secret is easily guessed: setting it answers a warning. */
export const SHORT_SECRET_CHARS = 12;
/** Runners do not hide a shorter secret, nor a shorter line of one: a secret `{` would make every log unreadable. */
export const MIN_MASKED_CHARS = 6;

export function isKey(key: string): boolean {
  return key.length <= MAX_KEY_CHARS && KEY_PATTERN.test(key);
}

const value = z.string().refine((text) => text.isWellFormed(), "must be well-formed Unicode");
const projectId = id.nullish();

export const scopeQuerySchema = z.object({ project_id: id.optional() });
export const scopedValuesQuerySchema = z.object({
  project_id: id.optional(),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE_OF_VALUES).default(DEFAULT_PAGE),
  cursor: z
    .string()
    .max(MAX_CURSOR_CHARS)
    .regex(/^[A-Za-z0-9_-]+$/)
    .optional(),
});
export const setValueBodySchema = z.object({ project_id: projectId, value });
export const setValuesBodySchema = z.object({
  project_id: projectId,
  entries: z
    .array(z.object({ key: z.string(), value }))
    .min(1)
    .max(MAX_BATCH_ENTRIES),
});

const described = {
  key: z.string(),
  project_id: id.nullable(),
  created_at: timestamp,
  updated_at: timestamp,
  last_edited_by: id.nullable(),
};
/** `message` is ours. */
const warnings = z.array(
  z.object({
    code: z.enum(["short-secret-value", "sensitive-variable-name"]),
    key: z.string(),
    message: z.string(),
  }),
);
export type ValueWarning = z.infer<typeof warnings>[number];

export const secretSchema = z.object(described).meta({ id: "Secret" });
export const secretsReplySchema = z.object({ secrets: z.array(secretSchema), next_cursor: nextCursor });
export const setSecretReplySchema = z.object({ secret: secretSchema, warnings });
export const setSecretsReplySchema = z.object({ secrets: z.array(secretSchema), warnings });
export type Secret = z.infer<typeof secretSchema>;

export const variableSchema = z.object({ ...described, value: z.string() }).meta({ id: "Variable" });
/** `value` is the first line only, cut to 256 characters. */
export const listedVariableSchema = z.object({ ...described, value: z.string(), value_truncated: z.boolean() });
export const variablesReplySchema = z.object({ variables: z.array(listedVariableSchema), next_cursor: nextCursor });
export const variableReplySchema = z.object({ variable: variableSchema });
export const setVariableReplySchema = z.object({ variable: variableSchema, warnings });
export const setVariablesReplySchema = z.object({ variables: z.array(variableSchema), warnings });
export type Variable = z.infer<typeof variableSchema>;
export type ListedVariable = z.infer<typeof listedVariableSchema>;
