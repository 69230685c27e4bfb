import { MAX_NAME_CHARACTERS } from "./limits.ts";

const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

export type GroupName = { readonly ok: true; readonly name: string } | { readonly ok: false; readonly message: string };

/** The name of a concurrency group as it counts: trimmed, one line. `message` says what a text is that is none. */
export function readGroupName(text: string): GroupName {
  const name = text.trim();
  if (name === "") return { ok: false, message: "is empty" };
  if (name.length > MAX_NAME_CHARACTERS)
    return { ok: false, message: `has ${name.length} characters; at most ${MAX_NAME_CHARACTERS} are allowed` };
  if (CONTROL.test(name) || !name.isWellFormed()) return { ok: false, message: "has control characters" };
  return { ok: true, name };
}
