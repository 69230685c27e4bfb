import { z } from "zod";
import { id, MAX_CURSOR_CHARS } from "./values.ts";

export const logParamsSchema = z.object({ stepId: id, attempt: z.coerce.number().int().min(1).max(2_147_483_647) });
/** `cursor` is a byte position in the stream: 0, or a `next_cursor` of an earlier page. */
export const logQuerySchema = z.object({ cursor: z.coerce.number().int().min(0).default(0) });

/** `cursor` as for a page, `ticket` for clients that cannot send headers. */
export const logStreamQuerySchema = logQuerySchema.extend({
  ticket: z
    .string()
    .max(MAX_CURSOR_CHARS)
    .optional()
    .meta({ description: "From POST /auth/stream-tokens, instead of the header Authorization" }),
});

/**
 * Frames `state` of a log's stream: `open` before its first record, `gap` before the records among which something is
 * missing (`dropped_bytes` null when nobody counted it), `end` as the last; `truncated` when the runner stopped reporting.
 */
export const logStateSchema = z.discriminatedUnion("state", [
  z.object({ state: z.literal("open") }),
  z.object({ state: z.literal("gap"), dropped_bytes: z.int().min(0).nullable() }),
  z.object({ state: z.literal("end"), truncated: z.boolean() }),
]);
export type LogState = z.infer<typeof logStateSchema>;

export const logPageSchema = z
  .object({
    mode: z.literal("inline"),
    ndjson: z.string(),
    next_cursor: z.int(),
    has_more: z.boolean(),
    state: z.enum(["open", "closed"]),
    truncated: z.boolean(),
  })
  .meta({ id: "LogPage" });

export type LogPage = z.infer<typeof logPageSchema>;
