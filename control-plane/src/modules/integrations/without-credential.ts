import { formsOf } from "@shipfox/shared/secret-forms";
import { DEFAULT_USERNAME, type GitCredential } from "./git-environment.ts";

const REPLACEMENT = "***";

/**
 * Takes the token of a connection out of text that the host may have written: it knows the token, and whoever reads errors
 * need not. As it was sent and as common tools encode it, also inside of longer base64; the private key never leaves us.
 */
export function withoutCredential({ token, username }: GitCredential): (text: string) => string {
  if (token === null) return (text) => text;
  const sent = Buffer.from(`${username ?? DEFAULT_USERNAME}:${token}`).toString("base64");
  // The longest first: one form may be the beginning of another.
  const forms = [sent, ...formsOf(token)].toSorted((left, right) => right.length - left.length);
  return (text) => forms.reduce((shown, form) => shown.replaceAll(form, REPLACEMENT), text);
}
