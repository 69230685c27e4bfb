import { type Mask, shown } from "./assignments.ts";

export const MAX_PATH_FILE_BYTES = 64 * 1024;

export type ParsedPath = { kind: "folders"; folders: string[] } | { kind: "invalid"; message: string };

/** Parses what a step wrote to SHIPFOX_PATH: one absolute folder a line. The last line is searched first. */
export function parsePathFile(content: string, masker: Mask): ParsedPath {
  const folders: string[] = [];
  for (const [index, line] of content.split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    // Relative folders would mean something else in each working directory, also one that holds foreign files.
    if (!line.split(":").every((folder) => folder.startsWith("/")))
      return {
        kind: "invalid",
        message: `SHIPFOX_PATH, line ${index + 1}: expected an absolute folder, found ${shown(line, masker)}.`,
      };
    folders.unshift(line);
  }
  return { kind: "folders", folders };
}
