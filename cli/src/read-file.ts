import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { type CliError, usageError } from "./cli-error.ts";
import { plainText } from "./render/plain-text.ts";

const MEANINGS: Readonly<Record<string, (file: string) => string>> = {
  ENOENT: (file) => `There is no file ${file}.`,
  ENOTDIR: (file) => `There is no file ${file}: a part of the path is no folder.`,
  EISDIR: (file) => `${file} is a folder; a file is needed.`,
  EACCES: (file) => `${file} cannot be read: you have no permission.`,
  EEXIST: (file) => `${file} is there already; name a new file.`,
};

/** The text of a file that was named on the command line. Throws a usage error in words. */
export async function readTextFile(cwd: string, file: string, ...next: string[]): Promise<string> {
  try {
    return await readFile(resolve(cwd, file), "utf8");
  } catch (error) {
    throw fileError(file, error, ...next);
  }
}

/** What is wrong with a file that was named on the command line, in words. */
export function fileError(file: string, error: unknown, ...next: string[]): CliError {
  const { code, message } = error as NodeJS.ErrnoException;
  const meaning = MEANINGS[code ?? ""];
  const name = plainText(file);
  const [first = `ls -ld ${name}`, ...more] = next;
  return usageError(meaning ? meaning(name) : `${name} cannot be used: ${message}`, first, ...more);
}
