import { MAX_RESPONSE_EXCERPT_CHARS } from "@shipfox/shared/api/webhooks";
import { ApiError } from "@shipfox/shared/errors";
import type { Logger } from "@shipfox/shared/logger";
import { signWebhook } from "../../http/webhook-signature.ts";
import { RequestError, requestOnce } from "../../network/request-once.ts";
import type { ResolveHost } from "../../network/resolve-host.ts";
import type { Clock } from "../../store/clock.ts";
import type { WebhookDeliveryRow, WebhookRow } from "../../store/schema.ts";
import { replaceNul } from "../../store/sql-values.ts";
import type { Envelope } from "../secrets/public.ts";
import { type AttemptResult, checkWebhookUrl, describeStatus } from "./model.ts";
import { signingSecrets } from "./secrets.ts";

const MAX_ANSWER_BYTES = 16 * 1024;

export interface AttemptDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly envelope: Envelope;
  readonly resolve: ResolveHost;
  /** For the header User-Agent. */
  readonly version: string;
  readonly settings: { readonly allowPrivate: boolean; readonly timeoutMs: number };
}

/** Sends a delivery once and tells how it went; rejects only with the reason of `signal`. */
export async function attemptDelivery(
  deps: AttemptDeps,
  webhook: WebhookRow,
  delivery: Pick<WebhookDeliveryRow, "id" | "event_type" | "body">,
  signal: AbortSignal,
): Promise<AttemptResult> {
  const started = deps.clock.monotonic();
  const outcome = await send(deps, webhook, delivery, signal).catch((error: unknown) => {
    signal.throwIfAborted();
    return { responseStatus: null, responseExcerpt: null, error: explain(deps, webhook, error) };
  });
  return { ...outcome, durationMs: Math.round(deps.clock.monotonic() - started) };
}

async function send(
  { clock, envelope, resolve, version, settings }: AttemptDeps,
  webhook: WebhookRow,
  { id, event_type, body }: Pick<WebhookDeliveryRow, "id" | "event_type" | "body">,
  signal: AbortSignal,
): Promise<Omit<AttemptResult, "durationMs">> {
  const now = clock.now();
  const answer = await requestOnce(
    {
      method: "POST",
      // Checked again: what the operator allows may have changed since it was stored.
      url: new URL(checkWebhookUrl(webhook.url, settings.allowPrivate)),
      headers: {
        ...signWebhook(signingSecrets(envelope, webhook, now), { id, atMs: now, body }),
        "content-type": "application/json",
        "user-agent": `Shipfox-Webhook/${version}`,
        "shipfox-event": event_type,
      },
      body,
      timeoutMs: settings.timeoutMs,
      maxAnswerBytes: MAX_ANSWER_BYTES,
      allowPrivate: settings.allowPrivate,
      signal,
    },
    resolve,
  );
  return {
    responseStatus: answer.status,
    // What a service of the inside says must not become readable through a webhook.
    responseExcerpt: answer.isPublic ? excerpt(answer.body) : null,
    error: describeStatus(answer.status),
  };
}

function excerpt(body: Buffer): string {
  return replaceNul(body.toString("utf8")).slice(0, MAX_RESPONSE_EXCERPT_CHARS);
}

function explain({ log }: AttemptDeps, webhook: WebhookRow, error: unknown): string {
  if (error instanceof RequestError) return `${error.failure}: ${error.message}`;
  if (error instanceof ApiError) return `${error.code}: ${error.message}`;
  log.error({ err: error, webhook_id: webhook.id }, "a webhook could not be sent");
  return "the server could not send it; its log says why";
}
