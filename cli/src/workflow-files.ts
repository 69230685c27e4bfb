import { readFileSync } from "node:fs";
import { glob, stat } from "node:fs/promises";
import { join, posix, resolve, sep } from "node:path";
import { usageError } from "./cli-error.ts";

export const WORKFLOW_FOLDER = ".shipfox/workflows";

/**
 * The workflow files that were named: a folder stands for the `.yml` and `.yaml` files in it and below, as in a
 * repository. Without names those of `.shipfox/workflows`. Throws a usage error for a folder that has none.
 */
export async function findWorkflowFiles(cwd: string, named: readonly string[]): Promise<string[]> {
  const places = named.length > 0 ? named : [WORKFLOW_FOLDER];
  const found = await Promise.all(
    places.map(async (place) => {
      const isFolder = named.length === 0 || (await isDirectory(resolve(cwd, place)));
      return isFolder ? filesBelow(cwd, place) : [place];
    }),
  );
  return [...new Set(found.flat())];
}

/**
 * The folder of workflows that holds a file, both absolute, and the file's path from the root of the repository. One that is in
 * no such folder counts as one of a folder that it and the files beside it make up.
 */
export function placeInRepository(file: string): { folder: string; path: string } {
  const marker = join(sep, WORKFLOW_FOLDER, sep);
  const at = file.lastIndexOf(marker);
  const end = at === -1 ? file.lastIndexOf(sep) + 1 : at + marker.length;
  return { folder: file.slice(0, end), path: posix.join(WORKFLOW_FOLDER, file.slice(end).replaceAll(sep, "/")) };
}

/** The text of a file that is named by its path from the root of the repository; null when it cannot be read. */
export function readCalled(folder: string, path: string): string | null {
  try {
    return readFileSync(join(folder, posix.relative(WORKFLOW_FOLDER, path)), "utf8");
  } catch {
    return null;
  }
}

async function filesBelow(cwd: string, folder: string): Promise<string[]> {
  const names = await Array.fromAsync(glob("**/*.{yml,yaml}", { cwd: resolve(cwd, folder) }));
  if (names.length > 0) return names.toSorted().map((name) => join(folder, name));
  throw usageError(`There is no workflow file in ${folder} here.`, "shipfox validate path/to/workflow.yml");
}

/** False for what is not there: reading it says so in words. */
async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false;
}
