import { createHmac, type KeyObject, timingSafeEqual } from "node:crypto";

/** Older or newer than this is no fresh call, whatever its signature says. */
const MAX_SKEW_SECONDS = 5 * 60;
const SECRET_PREFIX = "whsec_";
const SECRET_PATTERN = /^whsec_[A-Za-z0-9+/]{32,86}={0,2}$/;
const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 64;
/** Senders that rotate their secret send two signatures; more are not looked at. */
const MAX_SIGNATURES = 8;

/** The three headers of Standard Webhooks, lower-case. */
export interface SignatureHeaders {
  readonly "webhook-id": string;
  readonly "webhook-timestamp": string;
  readonly "webhook-signature": string;
}

/** A secret of Standard Webhooks: `whsec_` and 24 to 64 bytes in base64. */
export function newWebhookSecret(bytes: Buffer): string {
  return `${SECRET_PREFIX}${bytes.toString("base64")}`;
}

export function isWebhookSecret(text: string): boolean {
  const bytes = SECRET_PATTERN.test(text) ? keyOf(text).length : 0;
  return bytes >= MIN_SECRET_BYTES && bytes <= MAX_SECRET_BYTES;
}

/** Signs `id.timestamp.body` with HMAC-SHA256, once with each secret. `atMs` is now, milliseconds since the epoch. */
export function signWebhook(
  secrets: readonly string[],
  { id, atMs, body }: { id: string; atMs: number; body: string },
): SignatureHeaders {
  const timestamp = String(Math.floor(atMs / 1000));
  const signatures = secrets.map((secret) => signatureOf(secret, id, timestamp, Buffer.from(body)));
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures.join(" ") };
}

/** True when one of the secrets made one of the signatures over exactly these bytes, less than 5 minutes ago. */
export function isSignedWebhook(
  secrets: readonly string[],
  headers: Partial<SignatureHeaders>,
  body: Buffer,
  nowMs: number,
): boolean {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
  if (!id || !signatures || !timestamp || !/^\d{1,12}$/.test(timestamp)) return false;
  if (Math.abs(nowMs / 1000 - Number(timestamp)) > MAX_SKEW_SECONDS) return false;
  // As text: a decoder would overlook what is no base64.
  const given = signatures.split(" ", MAX_SIGNATURES).map((one) => Buffer.from(one));
  // All pairs, so that time tells nothing of which one fitted.
  return secrets
    .map((secret) => Buffer.from(signatureOf(secret, id, timestamp, body)))
    .flatMap((expected) => given.map((one) => one.length === expected.length && timingSafeEqual(one, expected)))
    .includes(true);
}

/** True when `hex` is the HMAC-SHA256 of exactly these bytes: how GitHub, Sentry and others sign. */
export function isHexSignature(secret: string | KeyObject, hex: string, body: Buffer): boolean {
  const expected = createHmac("sha256", secret).update(body).digest();
  const given = /^[0-9a-f]{64}$/i.test(hex) ? Buffer.from(hex, "hex") : Buffer.alloc(0);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function signatureOf(secret: string, id: string, timestamp: string, body: Buffer): string {
  const hmac = createHmac("sha256", keyOf(secret)).update(`${id}.${timestamp}.`).update(body);
  return `v1,${hmac.digest("base64")}`;
}

function keyOf(secret: string): Buffer {
  return Buffer.from(secret.slice(SECRET_PREFIX.length), "base64");
}
