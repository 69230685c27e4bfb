import type { ErrorCode } from "@shipfox/shared/errors";
import type { Reply } from "../../http/route.ts";

/** Providers send up to 25 MiB; what is longer than this is of no use to a workflow. Source: the published API. */
export const MAX_DELIVERY_BYTES = 512 * 1024;

/** What any call to a provider may end with. */
export const PROVIDER_ERRORS: readonly ErrorCode[] = [
  "access-denied",
  "provider-rejected",
  "malformed-provider-response",
  "rate-limited",
  "timeout",
  "provider-unavailable",
];

/** 204 when `receive` took the delivery; what it refuses is told in the form that providers show to people. */
export async function answerDelivery(receive: () => Promise<void>): Promise<Reply> {
  try {
    await receive();
    return { status: 204 };
  } catch (error) {
    if (error instanceof DeliveryError) return { status: error.status, body: { error: error.message } };
    throw error;
  }
}

/** A delivery that was refused: what the provider shows to people beside it. */
export class DeliveryError extends Error {
  override readonly name = "DeliveryError";
  readonly status: 400 | 401;

  constructor(status: 400 | 401, message: string) {
    super(message);
    this.status = status;
  }
}
