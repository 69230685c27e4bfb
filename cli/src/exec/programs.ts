import { existsSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { CliError } from "../cli-error.ts";
import { EXIT } from "../exit-codes.ts";

/** Beside this program in a checkout; an installed one finds the others on the PATH. */
const CHECKOUT = resolve(import.meta.dirname, "../../../node_modules/.bin");

/** The path of one of our programs. Throws CliError when it is not on this machine. */
export function programOf(name: string, path: string = process.env["PATH"] ?? ""): string {
  const found = [CHECKOUT, ...path.split(delimiter)].map((folder) => join(folder, name)).find(existsSync);
  if (found !== undefined) return found;
  throw new CliError(`"shipfox exec" runs the workflow with ${name} on this machine, and it is not installed here.`, {
    exitCode: EXIT.usage,
    code: "program-missing",
    next: [`install ${name}, or put its folder on the PATH`],
  });
}
