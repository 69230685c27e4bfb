import { hash, randomBytes, timingSafeEqual } from "node:crypto";

/**
 * Opaque tokens: `sf_<kind>_` and 32 random bytes as base64url (43 characters). Only the SHA-256 is stored.
 *
 * mrt: manual runner registration. rt: a runner's own credential. r: a user's refresh session. pat: a user's personal access
 * token. st: a stream ticket. pr: a password reset. pt: a provisioner. ert: the registration of one runner instance. i: an
 * invitation.
 */
export type TokenKind = "mrt" | "rt" | "r" | "pat" | "st" | "pr" | "pt" | "ert" | "i";

const RANDOM_BYTES = 32;
const TOKEN_PATTERN = /^sf_(mrt|rt|r|pat|st|pr|pt|ert|i)_[A-Za-z0-9_-]{43}$/;
const DISPLAY_PREFIX_LENGTH = 12;

export function newToken(kind: TokenKind): string {
  return `sf_${kind}_${randomBytes(RANDOM_BYTES).toString("base64url")}`;
}

/** The kind a token claims to be, by its form alone; null for anything that is not a token. */
export function tokenKind(token: string): TokenKind | null {
  return (TOKEN_PATTERN.exec(token)?.[1] as TokenKind | undefined) ?? null;
}

/** SHA-256 of the whole token, hex: what is stored and looked up. */
export function hashToken(token: string): string {
  return hash("sha256", token, "hex");
}

/** The first 12 characters: enough to recognise a token in a list, not enough to use it. */
export function tokenPrefix(token: string): string {
  return token.slice(0, DISPLAY_PREFIX_LENGTH);
}

/** Compares two secrets of any length without telling by time where they differ. */
export function secretsEqual(left: string, right: string): boolean {
  return timingSafeEqual(hash("sha256", left, "buffer"), hash("sha256", right, "buffer"));
}
