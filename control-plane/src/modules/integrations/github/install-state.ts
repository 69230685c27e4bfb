import { createHmac, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";
import { ApiError } from "@shipfox/shared/errors";
import { z } from "zod";

/** How long a person may take on GitHub's pages. Source: the published API. */
const STATE_LIFETIME_MS = 30 * 60_000;
const NONCE_BYTES = 16;

const stateSchema = z.object({
  workspaceId: z.uuid(),
  userId: z.uuid(),
  nonce: z.string().regex(/^[A-Za-z0-9_-]{22}$/),
  expiresAt: z.int(),
});

/** What goes through the browser while somebody installs the app. Good once; the nonce is noted when it is used. */
export type InstallState = z.infer<typeof stateSchema>;

/** `base64url(JSON) + "." + base64url(HMAC-SHA256)` of the first key, good for 30 minutes. */
export function signInstallState(
  [key]: readonly KeyObject[],
  about: { workspaceId: string; userId: string },
  now: number,
): string {
  const { workspaceId, userId } = about;
  const nonce = randomBytes(NONCE_BYTES).toString("base64url");
  const state: InstallState = { workspaceId, userId, nonce, expiresAt: now + STATE_LIFETIME_MS };
  const text = Buffer.from(JSON.stringify(state)).toString("base64url");
  return `${text}.${mac(key as KeyObject, text).toString("base64url")}`;
}

/** Throws 400 `invalid-github-install-state` for a text that none of the keys signed, was changed, or is too old. */
export function verifyInstallState(keys: readonly KeyObject[], state: string, now: number): InstallState {
  const [text = "", signature = "", ...rest] = state.split(".");
  const given = Buffer.from(signature, "base64url");
  const isSigned = keys.some((key) => {
    const expected = mac(key, text);
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
  const isOurs = rest.length === 0 && isSigned && isCanonical(signature);
  if (!isOurs) throw invalidState("the state was not made by this server; start the installation again");
  const parsed = stateSchema.parse(JSON.parse(Buffer.from(text, "base64url").toString("utf8")));
  if (parsed.expiresAt <= now) throw invalidState("the installation took too long; start it again");
  return parsed;
}

export function invalidState(message: string): ApiError {
  return new ApiError("invalid-github-install-state", message);
}

function mac(key: KeyObject, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function isCanonical(text: string): boolean {
  return Buffer.from(text, "base64url").toString("base64url") === text;
}
