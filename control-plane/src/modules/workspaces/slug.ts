import { randomBytes } from "node:crypto";
import { MAX_SLUG_CHARS, MIN_SLUG_CHARS } from "@shipfox/shared/api/values";

/** Numbers tried after the plain slug before a random ending settles it. */
const MAX_NUMBER = 20;
const RANDOM_BYTES = 4;

/** Lower-case words joined by dashes out of any name; `fallback` when nothing of it is left. */
export function deriveSlug(name: string, fallback: string): string {
  const folded = name.normalize("NFD").replaceAll(/\p{M}/gu, "").toLowerCase();
  const slug = cut(folded.replaceAll(/[^a-z0-9]+/g, "-"), MAX_SLUG_CHARS);
  return slug.length < MIN_SLUG_CHARS ? fallback : slug;
}

/** What to try, in this order, until one is free: `name`, `name-2`, `name-3`, … and one that nobody has. */
export function slugCandidates(name: string, fallback: string): string[] {
  const base = deriveSlug(name, fallback);
  const numbers = Array.from({ length: MAX_NUMBER - 1 }, (_, index) => String(index + 2));
  return [base, ...[...numbers, randomBytes(RANDOM_BYTES).toString("hex")].map((ending) => withEnding(base, ending))];
}

function withEnding(base: string, ending: string): string {
  return `${cut(base, MAX_SLUG_CHARS - ending.length - 1)}-${ending}`;
}

function cut(slug: string, length: number): string {
  return slug.replace(/^-+/, "").slice(0, length).replace(/-+$/, "");
}
