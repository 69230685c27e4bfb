import type { KeyObject } from "node:crypto";
import { MAX_DELIVERY_ID_CHARS } from "@shipfox/shared/api/webhook-connections";
import { z } from "zod";
import { isTooDeep } from "../../../http/json-depth.ts";
import { isHexSignature } from "../../../http/webhook-signature.ts";
import { DeliveryError } from "../deliveries.ts";

const installationSchema = z.object({ installation: z.object({ uuid: z.string().min(1) }) });
const actionSchema = z.object({ action: z.string() });

/** A delivery whose signature was good. */
export interface SentryDelivery {
  readonly id: string;
  /** `issue`, `installation`, …; what it is about. */
  readonly resource: string;
  /** Null when the body says none. */
  readonly action: string | null;
  /** Null when the body names no installation. */
  readonly installationId: string | null;
  readonly body: unknown;
}

/** Verifies the signature over the bytes as they came before it looks at anything in them. Throws DeliveryError. */
export function readDelivery(
  header: (name: string) => string | undefined,
  raw: Buffer,
  signingKey: KeyObject,
): SentryDelivery {
  const signature = header("sentry-hook-signature") ?? header("sentry-app-signature");
  if (!signature) throw new DeliveryError(401, "the header Sentry-Hook-Signature is missing");
  const id = header("request-id");
  if (!id || id.length > MAX_DELIVERY_ID_CHARS) {
    throw new DeliveryError(400, "the header Request-ID is missing or not understood");
  }
  const resource = header("sentry-hook-resource");
  if (!resource) throw new DeliveryError(400, "the header Sentry-Hook-Resource is missing");
  if (!isHexSignature(signingKey, signature, raw)) throw new DeliveryError(401, "the signature is wrong");
  const body = parse(raw);
  return {
    id,
    resource,
    action: actionSchema.safeParse(body).data?.action ?? null,
    installationId: installationSchema.safeParse(body).data?.installation.uuid ?? null,
    body,
  };
}

function parse(raw: Buffer): unknown {
  if (!isTooDeep(raw)) {
    try {
      return JSON.parse(raw.toString("utf8"));
    } catch {
      // Refused below, without the parser's quotation.
    }
  }
  throw new DeliveryError(400, "the body is not JSON");
}
