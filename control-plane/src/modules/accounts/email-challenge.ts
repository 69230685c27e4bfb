import { ApiError } from "@shipfox/shared/errors";
import type { EmailChallengeRow } from "../../store/schema.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
export const CODE_LIFETIME_MS = 10 * MINUTE_MS;
export const RESEND_COOLDOWN_MS = MINUTE_MS;
const MAX_SENDS = 3;
const MAX_WRONG_CODES = 5;

/** Mails with codes that one address gets, and that one client causes, in any stretch of time of this length. */
export const SEND_LIMITS = [
  { of: "destination", withinMs: HOUR_MS, limit: 5 },
  { of: "destination", withinMs: DAY_MS, limit: 15 },
  { of: "source", withinMs: HOUR_MS, limit: 20 },
] as const;
/** What is older counts for no limit. */
export const SENDS_MEMORY_MS = DAY_MS;

type Challenge = Pick<EmailChallengeRow, "sends" | "wrong_codes" | "sent_at" | "expires_at" | "consumed_at">;

export type CodeVerdict = "right" | "wrong" | "expired" | "exhausted" | "consumed";

/** A wrong code counts, and the one that is one too many closes the challenge to the right one as well. */
export function decideCode(challenge: Challenge, isRight: boolean, now: number): CodeVerdict {
  if (challenge.consumed_at !== null) return "consumed";
  if (challenge.wrong_codes >= MAX_WRONG_CODES) return "exhausted";
  if (challenge.expires_at <= now) return "expired";
  return isRight ? "right" : "wrong";
}

export type ResendVerdict = "send" | "cooldown" | "expired" | "exhausted";

export function decideResend(challenge: Challenge, now: number): ResendVerdict {
  if (challenge.sends >= MAX_SENDS || challenge.wrong_codes >= MAX_WRONG_CODES) return "exhausted";
  if (challenge.expires_at <= now) return "expired";
  return now < challenge.sent_at + RESEND_COOLDOWN_MS ? "cooldown" : "send";
}

/** When the next mail may go, given the times of those that were sent; null when now. */
export function retryAt(
  sentAt: readonly number[],
  rule: { withinMs: number; limit: number },
  now: number,
): number | null {
  const counted = sentAt.filter((at) => at > now - rule.withinMs).sort((left, right) => right - left);
  const blocking = counted[rule.limit - 1];
  return blocking === undefined ? null : blocking + rule.withinMs;
}

export function limited(at: number, now: number): ApiError {
  const details = { retry_at: new Date(at).toISOString() };
  const headers = { "retry-after": String(Math.ceil((at - now) / 1_000)) };
  return new ApiError("email-challenge-limited", "too many codes were mailed; try again later", { details, headers });
}
