import { createHmac } from "node:crypto";
import { deriveKey } from "../../http/signed-tokens.ts";

const PURPOSE = "shipfox/setup-token/v1";

/** Lets somebody on another machine make the first account. The same as long as the root key is: 43 base64url characters. */
export function setupToken(rootKey: Buffer): string {
  return createHmac("sha256", deriveKey(rootKey, PURPOSE)).update("first-account").digest("base64url");
}
