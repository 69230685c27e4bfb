import { MIN_MASKED_CHARS } from "./api/scoped-values.ts";

/** First base64 characters that also carry bits of the unknown bytes before the secret, by the number of those bytes. */
const SKIPPED_BASE64_CHARS = [0, 2, 3] as const;
/** Lines into which `base64` and `openssl base64` cut what they print. */
const BASE64_LINE_CHARS = [76, 64] as const;

/**
 * Every text in which a secret is looked for: the secret without surrounding blanks and each of its lines, as they are and
 * as encoded by common tools. Nothing under `MIN_MASKED_CHARS` characters: it would hide ordinary text.
 */
export function formsOf(secret: string): Set<string> {
  const parts = new Set([secret.trim(), ...secret.split(/[\r\n]+/).map((line) => line.trim())]);
  const long = [...parts].filter((part) => part.length >= MIN_MASKED_CHARS);
  return new Set(long.flatMap(formsOfPart).filter((form) => form.length >= MIN_MASKED_CHARS));
}

function formsOfPart(part: string): string[] {
  const bytes = Buffer.from(part);
  const hex = bytes.toString("hex");
  return [
    part,
    hex,
    hex.toUpperCase(),
    ...base64Forms(bytes),
    ...urlForms(part),
    ...jsonForms(part),
    ...shellForms(part),
  ];
}

/** Inside of longer encoded data too, so at each of the three alignments; without the characters that bits of neighbours share. */
function base64Forms(bytes: Buffer): string[] {
  const forms = SKIPPED_BASE64_CHARS.flatMap((skipped, unknownBytes) => {
    const shifted = Buffer.concat([Buffer.alloc(unknownBytes), bytes]);
    const wholeChars = Math.floor((shifted.length * 8) / 6);
    return [shifted.toString("base64"), shifted.toString("base64url")].map((text) => text.slice(skipped, wholeChars));
  });
  const [whole = ""] = forms;
  const lines = BASE64_LINE_CHARS.filter((width) => whole.length > width).flatMap((width) =>
    Array.from({ length: Math.ceil(whole.length / width) }, (_, index) =>
      whole.slice(index * width, (index + 1) * width),
    ),
  );
  return [...forms, ...lines];
}

function urlForms(part: string): string[] {
  const text = part.toWellFormed();
  const uri = encodeURIComponent(text);
  const strict = uri.replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  const form = new URLSearchParams([["", text]]).toString().slice("=".length);
  const upper = [uri, strict, form, strict.replaceAll("%20", "+"), strict.replaceAll("%2F", "/")];
  const lower = upper.map((encoded) => encoded.replaceAll(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase()));
  return [...upper, ...lower];
}

function jsonForms(part: string): string[] {
  const json = JSON.stringify(part).slice(1, -1);
  const escape = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return [
    json,
    json.replaceAll("/", () => "\\/"),
    json.replaceAll(/[<>&]/g, escape),
    json.replaceAll(/[^\0-\x7f]/g, escape),
  ];
}

/** As bash prints words (`set -x`, `printf %q`, `${name@Q}`), as `shlex.quote`, and inside of double quotes. */
function shellForms(part: string): string[] {
  const controls: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  return [
    part.replaceAll("'", () => "'\\''"),
    part.replaceAll("'", () => `'"'"'`),
    part.replaceAll(/[^\w@%+=:,./-]/g, (character) => `\\${character}`),
    part.replaceAll(/["$`\\]/g, (character) => `\\${character}`),
    part
      .replaceAll(/['\\]/g, (character) => `\\${character}`)
      .replaceAll(/[\n\r\t]/g, (character) => controls[character] ?? ""),
  ];
}
