import { z } from "zod";
import { id, nextCursor, pageQuery, timestamp } from "./values.ts";

const MAX_FILTER_CHARS = 100;
const filter = z.string().min(1).max(MAX_FILTER_CHARS);
const time = z.iso
  .datetime({ offset: true })
  .transform((text) => Date.parse(text))
  .meta({ description: "RFC 3339" });
const outcome = z
  .enum(["done", "denied", "failed"])
  .meta({ description: "done; denied for want of a right; tried in vain" });

/** Source of the fields: what an auditor asks: who, what, on which object, when, from where, and with what result. */
export const auditEventSchema = z
  .object({
    id,
    created_at: timestamp,
    workspace_id: id.nullable().meta({ description: "Null for what concerns the whole server" }),
    actor: z.object({
      type: z.enum(["user", "access_token", "runner", "anonymous"]),
      user_id: id.nullable(),
      email: z.string().nullable(),
      token_id: id.nullable(),
    }),
    action: z.string().meta({ description: "`<object>.<past verb>`, as `x-audit` of the route says" }),
    outcome,
    target: z.object({ type: z.string(), id: z.string().nullable(), name: z.string().nullable() }),
    ip: z.string(),
    user_agent: z.string().nullable(),
    request_id: z.string(),
    details: z.record(z.string(), z.json()),
  })
  .meta({ id: "AuditEvent" });

export const auditEventsQuerySchema = z.object({
  action: filter.optional().meta({ description: "As `project.created`" }),
  actor_user_id: id.optional().meta({ description: "UUID of who did it" }),
  target_type: filter.optional().meta({ description: "As `project`" }),
  target_id: filter.optional().meta({ description: "Id of the object" }),
  outcome: outcome.optional(),
  from: time.optional(),
  to: time.optional(),
  ...pageQuery,
});
export const auditEventsReplySchema = z.object({ audit_events: z.array(auditEventSchema), next_cursor: nextCursor });

export type AuditEvent = z.infer<typeof auditEventSchema>;
export type AuditEventsQuery = z.output<typeof auditEventsQuerySchema>;
