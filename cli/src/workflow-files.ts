import { glob, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
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

async function filesBelow(cwd: string, folder: string): Promise<string[]> {
  const names = await Array.fromAsync(glob("**/*.{yml,yaml}", { cwd: resolve(cwd, folder) }));
  if (names.length > 0) return names.toSorted().map((name) => join(folder, name));
  throw usageError(`There is no workflow file in ${folder} here.`, "shipfox validate path/to/workflow.yml");
}

/** False for what is not there: reading it says so in words. */
async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isDirectory() ?? false;
}
