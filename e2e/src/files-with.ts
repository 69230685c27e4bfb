import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** The files below these folders that hold one of the texts. */
export function filesWith(folders: readonly string[], needles: readonly string[]): string[] {
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  );
  return files.filter((file) => {
    if (!statSync(file, { throwIfNoEntry: false })?.isFile()) return false;
    const content = readFileSync(file, "latin1");
    return needles.some((needle) => content.includes(needle));
  });
}
