import { z } from "zod";
import { usageError } from "./cli-error.ts";
import { normalizeUrl } from "./server-url.ts";

const MAX_NAME_CHARS = 64;
/** A name is a word for every shell, and no option. */
const NAME = /^[A-Za-z0-9][\w.:-]*$/;

const storedContextSchema = z.object({
  /** Base URL: the tokens are never sent to another instance than the one that gave them. */
  url: z.string(),
  email: z.string(),
  refresh_token: z.string(),
  access_token: z.string(),
});
const instanceSchema = storedContextSchema.omit({ url: true });

/** What was written before there were contexts: one account for each instance. */
const firstFormSchema = z.object({
  version: z.literal(1),
  current_url: z.string().nullable(),
  instances: z.record(z.string(), instanceSchema),
});
const secondFormSchema = z.object({
  version: z.literal(2),
  /** The context that commands work in when nothing else says which. */
  current: z.string().nullable(),
  contexts: z.record(z.string(), storedContextSchema),
});

/** One account on one control plane, under a name that the user knows it by. */
export type StoredContext = z.infer<typeof storedContextSchema>;
export type CredentialsFile = z.infer<typeof secondFormSchema>;

export const credentialsFileSchema = z.union([secondFormSchema, firstFormSchema.transform(fromFirstForm)]);

type Environment = Record<string, string | undefined>;

/** Throws a usage error when it cannot be a context's name. */
export function checkContextName(name: string): string {
  if (NAME.test(name) && name.length <= MAX_NAME_CHARS) return name;
  throw usageError(
    `${JSON.stringify(name)} is no name of a context: it has 1 to ${MAX_NAME_CHARS} letters, digits and . _ : - and begins with a letter or a digit.`,
    "shipfox contexts list",
  );
}

/** The name of a context that nobody named. */
export function nameOfHost(url: string): string {
  const name = new URL(url).host.replace(/[^\w.:-]/g, "").replace(/^[^A-Za-z0-9]+/, "");
  return name.slice(0, MAX_NAME_CHARS) || "default";
}

/**
 * The context that commands work in: the one of `--context` or SHIPFOX_CONTEXT; else the one of SHIPFOX_URL, first the
 * current one; else the current one. Null when there is none. Throws a usage error when the name is unknown, or when
 * several accounts of SHIPFOX_URL could be meant.
 */
export function chooseContext(file: CredentialsFile, env: Environment): { name: string; stored: StoredContext } | null {
  const wanted = env.SHIPFOX_CONTEXT;
  if (wanted) return { name: wanted, stored: knownContext(file, wanted) };
  const name = env.SHIPFOX_URL ? nameAt(file, normalizeUrl(env.SHIPFOX_URL)) : file.current;
  const stored = name === null ? undefined : contextNamed(file, name);
  return name === null || !stored ? null : { name, stored };
}

/** Throws a usage error that names the contexts there are. */
export function knownContext(file: CredentialsFile, name: string): StoredContext {
  const stored = contextNamed(file, name);
  if (stored) return stored;
  const names = Object.keys(file.contexts);
  const there = names.length === 0 ? "there is none yet" : `there are: ${names.join(", ")}`;
  throw usageError(`There is no context ${JSON.stringify(name)}; ${there}.`, `shipfox login --context ${name}`);
}

/** Which context a sign-in at `url` is kept in: a named one, the one that is there for this address, or a new one. */
export function contextForLogin(file: CredentialsFile, url: string, env: Environment): string {
  if (env.SHIPFOX_CONTEXT) return checkContextName(env.SHIPFOX_CONTEXT);
  if (file.current !== null && file.contexts[file.current]?.url === url) return file.current;
  const [known] = namesAt(file, url);
  return known ?? freeName(file, nameOfHost(url));
}

/** Undefined when there is none. */
export function contextNamed(file: CredentialsFile, name: string): StoredContext | undefined {
  return Object.hasOwn(file.contexts, name) ? file.contexts[name] : undefined;
}

function nameAt(file: CredentialsFile, url: string): string | null {
  const names = namesAt(file, url);
  if (file.current !== null && names.includes(file.current)) return file.current;
  if (names.length <= 1) return names[0] ?? null;
  throw usageError(
    `There are ${names.length} contexts for ${url}: ${names.join(", ")}.`,
    `add --context ${names[0]}`,
    `shipfox contexts use ${names[0]}`,
  );
}

function namesAt(file: CredentialsFile, url: string): string[] {
  return Object.entries(file.contexts).flatMap(([name, stored]) => (stored.url === url ? [name] : []));
}

function freeName(file: CredentialsFile, wanted: string): string {
  let name = wanted;
  for (let number = 2; Object.hasOwn(file.contexts, name); number += 1) name = `${wanted}-${number}`;
  return name;
}

function fromFirstForm({ current_url, instances }: z.infer<typeof firstFormSchema>): CredentialsFile {
  const file: CredentialsFile = { version: 2, current: null, contexts: {} };
  for (const [url, instance] of Object.entries(instances)) {
    const name = freeName(file, nameOfHost(url));
    file.contexts[name] = { url, ...instance };
    if (url === current_url) file.current = name;
  }
  return file;
}
