import type { CheckoutToken } from "@shipfox/shared/machine";
import { isTransient, RefusedError } from "@shipfox/shared/call-error";
import { repeat } from "../control-plane/client.ts";
import { CheckoutError } from "../workspace/checkout-error.ts";
import { publicUrl, secretsOf } from "../workspace/repository-access.ts";
import type { StepContext } from "./step-context.ts";

/** A repository's host that does not answer is asked this often; the control plane itself as long as it takes. */
const MAX_PROVIDER_TRIES = 4;
const PROVIDER_CODES: ReadonlySet<string> = new Set(["provider-unavailable", "timeout", "rate-limited"]);
const JOB_IS_OVER: ReadonlySet<string> = new Set(["lease-not-active", "step-not-found", "job-not-found"]);
const NO_RIGHT: ReadonlySet<string> = new Set(["access-denied", "checkout-repository-not-authorized"]);

/**
 * Asks for the address and the credential of what a step checks out, which the logs of the job never show. Rejects with
 * CheckoutError, with RefusedError when the job is over, or the reason of the stop.
 */
export async function requestToken({
  client,
  step,
  lease,
  attempt,
  stop,
  masker,
}: StepContext): Promise<CheckoutToken> {
  let refusals = 0;
  const token = await repeat(stop.signal, async () => {
    try {
      return await client.checkoutToken(step.id, lease.token, attempt, stop.signal);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      refusals += PROVIDER_CODES.has(error.code) ? 1 : 0;
      throw !isTransient(error) || refusals >= MAX_PROVIDER_TRIES ? refusedCheckout(error) : error;
    }
  });
  for (const secret of secretsOf(token)) masker.add(secret);
  return token;
}

/** What people are told of it: lines without a credential. */
export function describeCheckout({ repository_url: url, ref, fetch_depth: depth }: CheckoutToken): string[] {
  return [`Repository: ${publicUrl(url)}`, `Ref: ${ref}`, `History: ${depth === 0 ? "all" : `${depth} commit(s)`}`];
}

function refusedCheckout(error: RefusedError): Error {
  if (JOB_IS_OVER.has(error.code)) return error;
  const isAuth = error.status === 401 || error.status === 403 || NO_RIGHT.has(error.code);
  const isUnavailable = error.status === 429 || error.status >= 500 || error.code === "checkout-unavailable";
  const reason = isAuth ? "checkout_auth_failed" : isUnavailable ? "checkout_unavailable" : "checkout_failed";
  return new CheckoutError(reason, `The control plane gave no access to the repository: ${error.message}`, {
    cause: error,
  });
}
