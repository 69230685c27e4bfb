import { webhookEventSchema } from "@shipfox/shared/api/webhooks";
import { ApiError } from "@shipfox/shared/errors";
import { checkOutgoingUrl } from "../../network/outgoing-url.ts";

/** Attempts of one delivery; with the delays between them they span about half a day. */
export const MAX_ATTEMPTS = 9;
const FIRST_DELAY_MS = 5_000;
const DELAY_FACTOR = 4;
const MAX_DELAY_MS = 6 * 3_600_000;
/** A delay is longer or shorter by up to this part, so that what failed together does not come back together. */
const JITTER = 0.2;

export const TEST_EVENT = "webhook.test";
export const EVENT_TYPES: readonly string[] = webhookEventSchema.options;

/** How an attempt ended. */
export interface AttemptResult {
  /** Null when there was no answer. */
  readonly responseStatus: number | null;
  readonly responseExcerpt: string | null;
  readonly error: string | null;
  readonly durationMs: number;
}

export type AfterAttempt =
  | { readonly status: "succeeded" | "failed"; readonly dueAt: null }
  | { readonly status: "pending"; readonly dueAt: number };

/** What becomes of a delivery after its attempt number `attempts`; `random` is from 0 to 1. */
export function decideAfterAttempt(result: AttemptResult, attempts: number, now: number, random: number): AfterAttempt {
  if (isSuccess(result)) return { status: "succeeded", dueAt: null };
  if (attempts >= MAX_ATTEMPTS) return { status: "failed", dueAt: null };
  return { status: "pending", dueAt: now + retryDelayMs(attempts, random) };
}

export function isSuccess({ responseStatus }: AttemptResult): boolean {
  return responseStatus !== null && responseStatus >= 200 && responseStatus < 300;
}

function retryDelayMs(attempts: number, random: number): number {
  const delay = Math.min(FIRST_DELAY_MS * DELAY_FACTOR ** (attempts - 1), MAX_DELAY_MS);
  return Math.round(delay * (1 - JITTER + 2 * JITTER * random));
}

/** What a webhook's answer means to people; null when it took the delivery. */
export function describeStatus(status: number): string | null {
  if (status >= 200 && status < 300) return null;
  if (status >= 300 && status < 400) return `answered ${status}: redirects are not followed; give the final URL`;
  return `answered ${status}`;
}

/**
 * The one form of a receiver's URL. What can be refused without asking a name server is refused here; the rest when it is
 * called. Throws 400 `invalid-webhook-url`.
 */
export function checkWebhookUrl(text: string, allowPrivate: boolean): string {
  const checked = checkOutgoingUrl(text, allowPrivate);
  if ("url" in checked) return checked.url.href;
  const advice = checked.allowable ? "; an operator allows it with SHIPFOX_WEBHOOKS_ALLOW_PRIVATE=true" : "";
  throw new ApiError("invalid-webhook-url", `the URL is refused because ${checked.message}${advice}`, {
    details: checked.allowable ? { allowed_by: "SHIPFOX_WEBHOOKS_ALLOW_PRIVATE" } : undefined,
  });
}
