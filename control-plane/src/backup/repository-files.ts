import { basename, dirname, join } from "node:path";
import { filesBelow } from "./copy-files.ts";
import { REPOSITORIES_FOLDER } from "./layout.ts";

/** Without these git takes a folder for no repository; both are empty where everything is packed. */
const NEEDED_FOLDERS = ["objects", "refs"];
/** Of somebody who writes just now: in a copy nobody would ever let go of it. */
const LOCK_SUFFIX = ".lock";

/**
 * The files of the repositories in the data folder, in an order in which a push or a packing meanwhile does no harm: what refers
 * to something comes before it, and a reference of its own before the file into which it may be packed.
 */
export async function* repositoryFiles(dataDir: string): AsyncIterable<string> {
  for (const round of ["refs", "others", "objects"])
    for await (const path of filesBelow(dataDir, REPOSITORIES_FOLDER))
      if (roundOf(path) === round && !path.endsWith(LOCK_SUFFIX)) yield path;
}

function roundOf(path: string): "refs" | "others" | "objects" {
  if (path.includes("/objects/")) return "objects";
  return path.includes("/refs/") ? "refs" : "others";
}

/** The folders that each repository among these files needs, whatever it has in them. */
export function repositoryFolders(paths: readonly string[]): string[] {
  const all = new Set(paths);
  const repositories = paths
    .filter((path) => path.startsWith(`${REPOSITORIES_FOLDER}/`) && basename(path) === "HEAD")
    .map(dirname)
    .filter((folder) => all.has(join(folder, "config")));
  return repositories.flatMap((folder) => NEEDED_FOLDERS.map((name) => join(folder, name)));
}
