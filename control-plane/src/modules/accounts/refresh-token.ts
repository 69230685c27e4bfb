import { randomBytes } from "node:crypto";
import { isId } from "@shipfox/shared/ids";
import { tokenKind } from "@shipfox/shared/tokens";

const PREFIX = "sf_r_";
const ID_BYTES = 16;
const SECRET_BYTES = 16;

/**
 * A refresh token has the form of every opaque token; its 32 bytes are the id of its session and 128 random bits. So
 * any former token of a session, however old, is still recognised as one of that session, without keeping a list.
 */
export function newRefreshToken(sessionId: string): string {
  const id = Buffer.from(sessionId.replaceAll("-", ""), "hex");
  return PREFIX + Buffer.concat([id, randomBytes(SECRET_BYTES)]).toString("base64url");
}

/** The session a token claims to belong to; null for anything that is not a refresh token. */
export function sessionIdOf(token: string): string | null {
  if (tokenKind(token) !== "r") return null;
  const hex = Buffer.from(token.slice(PREFIX.length), "base64url").subarray(0, ID_BYTES).toString("hex");
  const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  return isId(id) ? id : null;
}
