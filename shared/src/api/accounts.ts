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

const newPassword = z.string().min(MIN_PASSWORD_CHARS).max(MAX_PASSWORD_CHARS);
const knownPassword = z.string().min(1).max(MAX_PASSWORD_CHARS);
const MAX_TOKEN_CHARS = 512;
const challengeId = z.uuid().meta({ description: "`email_challenge.id` of the sign-up" });

export const signupBodySchema = z.object({
  email,
  password: newPassword,
  name: displayName,
  setup_token: z.string().min(1).max(256).optional(),
  invitation_token: z.string().min(1).max(256).optional(),
});
/**
 * An account whose address is not proven yet has `email_challenge` and no session. All others are signed in at once:
 * `token` is there and the refresh cookie is set.
 */
export const signupReplySchema = z.object({
  user: userSchema,
  token: z.string().optional(),
  membership: membershipRefSchema.optional(),
  admin_role: adminRoleSchema.optional(),
  email_challenge: z
    .object({ id, next_resend_available_at: timestamp })
    .optional()
    .meta({ description: "A code of 8 digits was mailed; POST it to /auth/verify-email/confirm" }),
});

export const verifyEmailBodySchema = z.object({
  email,
  challenge_id: challengeId,
  code: z.string().regex(/^\d{8}$/, "must be the 8 digits of the mail"),
});
export const resendCodeBodySchema = z.object({ email, challenge_id: challengeId });
export const resendCodeReplySchema = z.object({ next_resend_available_at: timestamp });

export const loginBodySchema = z.object({ email, password: knownPassword });
export const loginMethodsReplySchema = z.object({ login_methods: z.array(z.object({ id: z.string() })) });

export const resetPasswordBodySchema = z.object({ email });
export const confirmResetBodySchema = z.object({
  token: z.string().min(1).max(MAX_TOKEN_CHARS),
  new_password: newPassword,
});
export const changePasswordBodySchema = z.object({ current_password: knownPassword, new_password: newPassword });
export const resetLinkBodySchema = z.strictObject({ email });
export const resetLinkReplySchema = z.object({
  mailed: z.boolean().meta({ description: "True: the link went to the user, and is not shown" }),
  reset_url: z.string().nullable().meta({ description: "The link to hand to the user, when nothing can be mailed" }),
  expires_at: timestamp,
});

export const updateMeBodySchema = z.strictObject({ name: displayName });
export const sessionsReplySchema = z.object({
  sessions: z.array(
    z
      .object({
        id,
        current: z.boolean().meta({ description: "The session that makes this call" }),
        ip: z.string().nullable(),
        user_agent: z.string().nullable(),
        created_at: timestamp,
        last_used_at: timestamp.meta({ description: "Sign-in or last refresh" }),
        expires_at: timestamp,
      })
      .meta({ id: "SignInSession" }),
  ),
});
export const sessionParamsSchema = z.object({ sessionId: id });

export const meReplySchema = z.object({ user: userSchema, admin_role: adminRoleSchema });

export type User = z.infer<typeof userSchema>;
export type SessionReply = z.infer<typeof sessionReplySchema>;
