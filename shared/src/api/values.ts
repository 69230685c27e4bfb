import { z } from "zod";
import { isLabel, MAX_LABELS } from "../labels.ts";

/** Value rules that several messages share. Source: the published API, "shared value rules". */
export const id = z.uuid().meta({ description: "UUID" });
export const timestamp = z.string().meta({ format: "date-time", description: "RFC 3339, UTC, milliseconds" });
export const nullableTimestamp = timestamp.nullable();

export const MAX_NAME_CHARS = 255;
export const displayName = z
  .string()
  .trim()
  .min(1)
  .max(MAX_NAME_CHARS)
  .regex(/^[^\p{Cc}\p{Cf}]+$/u, "must not hold control or format characters");

export const MIN_SLUG_CHARS = 2;
export const MAX_SLUG_CHARS = 40;
export const slug = z
  .string()
  .min(MIN_SLUG_CHARS)
  .max(MAX_SLUG_CHARS)
  .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, "must be lower-case words joined by dashes");

export const MAX_EMAIL_CHARS = 254;
export const email = z.string().trim().toLowerCase().max(MAX_EMAIL_CHARS).pipe(z.email());

export const label = z
  .string()
  .trim()
  .toLowerCase()
  .refine(
    isLabel,
    "a label starts with a letter or digit and holds only letters, digits, '.', '_' and '-', at most 128",
  );
export const labels = z.array(label).min(1).max(MAX_LABELS);

export const MAX_PAGE = 100;
export const DEFAULT_PAGE = 50;
export const MAX_CURSOR_CHARS = 512;
export const pageQuery = {
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
  cursor: z.string().min(1).max(MAX_CURSOR_CHARS).optional(),
};
export const nextCursor = z.string().nullable();

export const errorSchema = z
  .object({ code: z.string(), message: z.string().optional(), details: z.unknown().optional() })
  .meta({ id: "Error" });

/** The same as RFC 7807, for whoever accepts `application/problem+json`. */
export const problemSchema = z
  .object({
    type: z.string().meta({ description: "A page on the code" }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: "The message" }),
    instance: z.string().meta({ description: "The path that was called" }),
    code: z.string(),
    details: z.unknown().optional(),
  })
  .meta({ id: "Problem" });
