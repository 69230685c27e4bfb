import { createHmac, type KeyObject } from "node:crypto";
import { secretsEqual } from "@shipfox/shared/tokens";
import { deriveKey } from "../../http/signed-tokens.ts";

const PURPOSE = "shipfox/account-recovery/v1";
const LIFETIME_MS = 3_600_000;
const FORM = /^sf_rec_([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/;

export interface Recovery {
  readonly email: string;
  /** Milliseconds since 1970. An account that was changed since then is not recovered by it, so that it works once. */
  readonly issuedAt: number;
}

export function recoveryKey(rootKey: Buffer): KeyObject {
  return deriveKey(rootKey, PURPOSE);
}

/**
 * What sets a new password for an account without mail and without an administrator: whoever has the root key has the
 * server. Needs no database, which another process may hold.
 */
export function recoveryToken(key: KeyObject, recovery: Recovery): string {
  const claims = Buffer.from(JSON.stringify([recovery.email, recovery.issuedAt])).toString("base64url");
  return `sf_rec_${claims}.${sign(key, claims)}`;
}

/** Null for anything that was not made with this key within the last hour. */
export function readRecoveryToken(key: KeyObject, token: string, now: number): Recovery | null {
  const [, claims, signature] = FORM.exec(token) ?? [];
  if (claims === undefined || signature === undefined || !secretsEqual(signature, sign(key, claims))) return null;
  const [email, issuedAt] = JSON.parse(Buffer.from(claims, "base64url").toString()) as [string, number];
  return issuedAt <= now && now - issuedAt < LIFETIME_MS ? { email, issuedAt } : null;
}

function sign(key: KeyObject, claims: string): string {
  return createHmac("sha256", key).update(claims).digest("base64url");
}
