import { z } from "zod";
import { id } from "./values.ts";

export const logParamsSchema = z.object({ stepId: id, attempt: z.coerce.number().int().min(1).max(2_147_483_647) });
/** `cursor` is a byte position in the stream: 0, or a `next_cursor` of an earlier page. */
export const logQuerySchema = z.object({ cursor: z.coerce.number().int().min(0).default(0) });

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
