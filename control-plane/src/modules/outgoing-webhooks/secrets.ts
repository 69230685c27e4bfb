import { randomBytes } from "node:crypto";
import { newWebhookSecret } from "../../http/webhook-signature.ts";
import type { WebhookRow } from "../../store/schema.ts";
import { type Envelope, openSecrets, type SealedColumn, sealNextSecret } from "../secrets/public.ts";

const SECRET_BYTES = 32;

type Identity = Pick<WebhookRow, "id" | "workspace_id">;

/** Makes a webhook's first or next secret; answers it with what is stored. */
export function makeSecret(
  envelope: Envelope,
  identity: Identity,
  sealedBefore: string | null,
  now: number,
): { secret: string; sealed: string } {
  const secret = newWebhookSecret(randomBytes(SECRET_BYTES));
  return { secret, sealed: sealNextSecret(envelope, boundTo(identity), secret, { sealedBefore, now }) };
}

/** The secrets with which a delivery is signed now. */
export function signingSecrets(
  envelope: Envelope,
  webhook: Identity & Pick<WebhookRow, "sealed_secrets">,
  now: number,
): string[] {
  return openSecrets(envelope, boundTo(webhook), webhook.sealed_secrets, now);
}

export const sealedWebhookSecrets: SealedColumn = {
  table: "webhooks",
  key: ["id"],
  column: "sealed_secrets",
  beside: ["workspace_id"],
  context: ({ id = "", workspace_id = "" }) => boundTo({ id, workspace_id }),
};

function boundTo({ id, workspace_id }: Identity) {
  return { workspaceId: workspace_id, name: `webhook/${id}` };
}
