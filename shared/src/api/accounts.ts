import { z } from "zod";
import { displayName, email, id, nullableTimestamp, timestamp } from "./values.ts";

export const MIN_PASSWORD_CHARS = 12;
export const MAX_PASSWORD_CHARS = 128;

export const userSchema = z
  .object({
    id,
    email: z.string(),
    name: z.string().nullable(),
    email_verified_at: nullableTimestamp,
    status: z.enum(["active", "suspended", "deleted"]),
    created_at: timestamp,
    updated_at: timestamp,
  })
  .meta({ id: "User" });

export const adminRoleSchema = z.enum(["admin-observer", "admin-operator", "admin-owner"]).nullable();
export const membershipRefSchema = z.object({ id, user_id: id, workspace_id: id }).nullable();

export const sessionReplySchema = z
  .object({ token: z.string(), user: userSchema, membership: membershipRefSchema, admin_role: adminRoleSchema })
  .meta({ id: "Session" });

export const signupBodySchema = z.object({
  email,
  password: z.string().min(MIN_PASSWORD_CHARS).max(MAX_PASSWORD_CHARS),
  name: displayName,
  setup_token: z.string().min(1).max(256).optional(),
});
/** Without mailed verification a new account is signed in at once: `token` is there and the refresh cookie is set. */
export const signupReplySchema = z.object({
  user: userSchema,
  token: z.string(),
  membership: membershipRefSchema,
  admin_role: adminRoleSchema,
});

export const loginBodySchema = z.object({ email, password: z.string().min(1).max(MAX_PASSWORD_CHARS) });
export const meReplySchema = z.object({ user: userSchema, admin_role: adminRoleSchema });

export type User = z.infer<typeof userSchema>;
export type SessionReply = z.infer<typeof sessionReplySchema>;
