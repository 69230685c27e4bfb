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
  const refuse = (why: string, cause?: unknown) => new ProviderError("refused", `${path} ${why}`, { cause });
  let secret: string;
  try {
    const { mode, size } = await stat(path);
    if ((mode & OTHERS) !== 0) throw refuse(`holds a secret and others may read it; run "chmod 600 ${path}"`);
    if (size > MAX_BYTES) throw refuse(`has more than ${MAX_BYTES} bytes, too many for a secret`);
    secret = (await readFile(path, "utf8")).trim();
  } catch (error) {
    if (error instanceof ProviderError) throw error;
    throw refuse(`cannot be read (${(error as NodeJS.ErrnoException).code ?? "unknown fault"})`, error);
  }
  if (!ONE_WORD.test(secret)) throw refuse("must hold the secret and nothing else");
  return secret;
}
