import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { MAX_VALUE_BYTES } from "@shipfox/shared/api/scoped-values";
import { usageError } from "./cli-error.ts";
import { quoteWord } from "./choose.ts";
import type { CommandContext } from "./command-context.ts";
import { fileError } from "./read-file.ts";
import { askSecret, readSecretFromStdin } from "./prompts.ts";

const SHORTER = "keep what is longer in a file of the repository, or where a step can fetch it";

/**
 * A value that must not stand in argv: from the file, byte by byte; else asked for without echo when a person is there, else
 * all of stdin without its last line end.
 */
export async function readValue(context: CommandContext, key: string, fromFile: string | undefined): Promise<string> {
  const value = fromFile === undefined ? await readTyped(context, key) : await readFromFile(context.cwd, fromFile);
  if (Buffer.byteLength(value) <= MAX_VALUE_BYTES) return value;
  throw usageError(`The value of ${key} has more than ${MAX_VALUE_BYTES} bytes.`, SHORTER);
}

async function readTyped({ terminal }: CommandContext, key: string): Promise<string> {
  if (terminal.interactive) return await askSecret(terminal, `Value of ${key}`);
  const value = await readSecretFromStdin(terminal);
  if (value === "") throw usageError(`The value of ${key} on stdin is empty.`, "give it on stdin, or with --from-file");
  return value;
}

async function readFromFile(cwd: string, file: string): Promise<string> {
  const path = resolve(cwd, file);
  try {
    // A file that is too large is not read at all.
    const { size } = await stat(path);
    if (size > MAX_VALUE_BYTES) throw usageError(`${file} has more than ${MAX_VALUE_BYTES} bytes.`, SHORTER);
    const bytes = await readFile(path);
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError)
      throw usageError(`${file} is not UTF-8 text; encode it.`, `base64 ${quoteWord(file)}`);
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw fileError(file, error);
  }
}
