import type { KeyObject } from "node:crypto";
import { z } from "zod";
import { isTooDeep, MAX_JSON_DEPTH } from "../../../http/json-depth.ts";
import { isHexSignature } from "../../../http/webhook-signature.ts";
import { DeliveryError } from "../deliveries.ts";

const SIGNATURE_PATTERN = /^sha256=([0-9a-f]{64})$/;
const EVENT_PATTERN = /^[a-z][a-z0-9_]{0,99}$/;
const MAX_DELIVERY_ID_CHARS = 200;

const bodySchema = z.record(z.string(), z.unknown());
const actionSchema = z.string().regex(EVENT_PATTERN);
const installationSchema = z.object({ id: z.int().positive() });

/** A delivery whose signature was good. */
export interface Delivery {
  readonly id: string;
  /** GitHub's name, as `pull_request`. */
  readonly event: string;
  /** With the action, as workflows name it: `pull_request.opened`. */
  readonly name: string;
  /** Null for what is no installation's, as a ping. */
  readonly installationId: number | null;
  /** As it was sent. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** Verifies the signature over the bytes as they came before it looks at anything in them. Throws DeliveryError. */
export function readDelivery(
  header: (name: string) => string | undefined,
  raw: Buffer,
  secrets: readonly KeyObject[],
): Delivery {
  const id = header("x-github-delivery");
  if (!id || id.length > MAX_DELIVERY_ID_CHARS || /\p{Cc}/u.test(id))
    throw new DeliveryError(400, "the header X-GitHub-Delivery is missing or not understood");
  const signature = header("x-hub-signature-256");
  if (!signature) throw new DeliveryError(401, "the header X-Hub-Signature-256 is missing");
  const event = header("x-github-event");
  if (!event || !EVENT_PATTERN.test(event))
    throw new DeliveryError(400, "the header X-GitHub-Event is missing or not understood");
  const hex = SIGNATURE_PATTERN.exec(signature)?.[1] ?? "";
  if (!secrets.some((secret) => isHexSignature(secret, hex, raw)))
    throw new DeliveryError(401, "the signature is wrong");
  const body = parse(raw);
  const action = actionSchema.safeParse(body["action"]).data;
  const installation = installationSchema.safeParse(body["installation"]).data;
  const name = action === undefined ? event : `${event}.${action}`;
  return { id, event, name, installationId: installation?.id ?? null, body };
}

function parse(raw: Buffer): Delivery["body"] {
  let value: unknown = null;
  // What follows walks the body by recursion.
  if (isTooDeep(raw)) throw new DeliveryError(400, `the body is nested deeper than ${MAX_JSON_DEPTH} levels`);
  try {
    value = JSON.parse(raw.toString("utf8"));
  } catch {
    // Refused below, without the parser's quotation.
  }
  if (!bodySchema.safeParse(value).success) throw new DeliveryError(400, "the body is no JSON object");
  return value as Delivery["body"];
}
