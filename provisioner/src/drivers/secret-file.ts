import type { Stats } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { ProviderError } from "./driver.ts";

const MAX_BYTES = 16 * 1024;
const OTHERS = 0o077;
const ONE_WORD = /^[\x21-\x7e]+$/;

/**
 * The one secret in a file, without the white space around it. Rejects with `refused` when the file cannot be read, others may read
 * it, or it holds anything but one word of printable ASCII.
 */
export async function readSecretFile(path: string): Promise<string> {
  const { size } = await checkSecretFile(path);
  if (size > MAX_BYTES) throw refusal(path, `has more than ${MAX_BYTES} bytes, too many for a secret`);
  const secret = (await orRefuse(path, readFile(path, "utf8"))).trim();
  if (!ONE_WORD.test(secret)) throw refusal(path, "must hold the secret and nothing else");
  return secret;
}

/** Rejects with `refused` when there is no such file, or others than its owner may read it. */
export async function checkSecretFile(path: string): Promise<Stats> {
  const facts = await orRefuse(path, stat(path));
  if ((facts.mode & OTHERS) !== 0)
    throw refusal(path, `holds a secret and others may read it; run "chmod 600 ${path}"`);
  return facts;
}

function orRefuse<Result>(path: string, read: Promise<Result>): Promise<Result> {
  return read.catch((error: NodeJS.ErrnoException) => {
    throw refusal(path, `cannot be read (${error.code ?? "unknown fault"})`, error);
  });
}

function refusal(path: string, why: string, cause?: unknown): ProviderError {
  return new ProviderError("refused", `${path} ${why}`, { cause });
}
