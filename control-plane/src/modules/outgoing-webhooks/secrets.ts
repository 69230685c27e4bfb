import { randomBytes } from "node:crypto";
import { newWebhookSecret } from "../../http/webhook-signature.ts";
import type { WebhookRow } from "../../store/schema.ts";
import type { Envelope } from "../secrets/public.ts";

const SECRET_BYTES = 32;
/** After a rotation deliveries are signed with both secrets for this long. */
const OVERLAP_MS = 24 * 3_600_000;

/** Column `webhooks.sealed_secrets`, opened. */
interface WebhookSecrets {
  readonly current: string;
  readonly previous: string | null;
  /** Milliseconds since the epoch. */
  readonly previousUntil: number;
}

type Identity = Pick<WebhookRow, "id" | "workspace_id">;

/** Makes a webhook's first or next secret; answers it with what is stored. */
export function makeSecrets(
  envelope: Envelope,
  identity: Identity,
  sealedBefore: string | null,
  now: number,
): { secret: string; sealed: string } {
  const secret = newWebhookSecret(randomBytes(SECRET_BYTES));
  const previous = sealedBefore === null ? null : open(envelope, identity, sealedBefore).current;
  const secrets: WebhookSecrets = { current: secret, previous, previousUntil: now + OVERLAP_MS };
  return { secret, sealed: envelope.seal(JSON.stringify(secrets), boundTo(identity)) };
}

/** The secrets with which a delivery is signed now. */
export function signingSecrets(
  envelope: Envelope,
  webhook: Identity & Pick<WebhookRow, "sealed_secrets">,
  now: number,
): string[] {
  const { current, previous, previousUntil } = open(envelope, webhook, webhook.sealed_secrets);
  return previous !== null && now < previousUntil ? [current, previous] : [current];
}

function open(envelope: Envelope, identity: Identity, sealed: string): WebhookSecrets {
  return JSON.parse(envelope.open(sealed, boundTo(identity))) as WebhookSecrets;
}

function boundTo({ id, workspace_id }: Identity) {
  return { workspaceId: workspace_id, name: `webhook/${id}` };
}
