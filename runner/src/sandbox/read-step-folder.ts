import { constants } from "node:fs";
import { type FileHandle, open, opendir } from "node:fs/promises";
import { readStepFile, type StepFileContent } from "./step-file.ts";

/** A folder with more entries is read as far as these, in whatever order the file system has. */
const MAX_LISTED_ENTRIES = 4096;

export interface StepFolderLimits {
  maxFiles: number;
  maxFileBytes: number;
  maxTotalBytes: number;
}

export interface ReadStepFolder {
  files: { name: string; content: Buffer }[];
  /** What was not taken, a reason each; at most one for each of `maxFiles`. */
  skipped: { name: string; why: string }[];
  /** Entries beyond the limits that were not looked at, or null when the folder itself is not readable any more. */
  leftOut: number | null;
}

/**
 * Reads the files that lie flat in a folder that a step filled, in the order of their names, trusting nothing about it:
 * the folder is opened once without following links and its entries are reached through that handle only, so a step that
 * swaps it meanwhile leads nowhere else.
 */
export async function readStepFolder(path: string, limits: StepFolderLimits): Promise<ReadStepFolder> {
  let folder: FileHandle;
  try {
    folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch {
    return { files: [], skipped: [], leftOut: null };
  }
  try {
    const inside = `/proc/self/fd/${folder.fd}`;
    const { names, leftOut } = await listNames(inside);
    const read: ReadStepFolder = {
      files: [],
      skipped: [],
      leftOut: leftOut + Math.max(0, names.length - limits.maxFiles),
    };
    let totalBytes = 0;
    for (const name of names.slice(0, limits.maxFiles)) {
      const found = await readStepFile(`${inside}/${name}`, limits.maxFileBytes);
      const why = refusal(found, limits, totalBytes);
      if (why !== null) read.skipped.push({ name, why });
      else if (found.kind === "content") {
        totalBytes += found.content.length;
        read.files.push({ name, content: found.content });
      }
    }
    return read;
  } finally {
    await folder.close();
  }
}

async function listNames(inside: string): Promise<{ names: string[]; leftOut: number }> {
  const names: string[] = [];
  let leftOut = 0;
  for await (const entry of await opendir(inside)) {
    if (names.length < MAX_LISTED_ENTRIES) names.push(entry.name);
    else if (++leftOut >= MAX_LISTED_ENTRIES) break;
  }
  // Not by locale: the order is the same everywhere.
  return { names: names.sort((left, right) => (left < right ? -1 : 1)), leftOut };
}

function refusal(found: StepFileContent, limits: StepFolderLimits, totalBytes: number): string | null {
  switch (found.kind) {
    case "missing":
      return "it went away or its name is not valid UTF-8";
    case "not_regular":
      return "it is not a regular file";
    case "too_large":
      return `it has more than ${limits.maxFileBytes} bytes`;
    case "content":
      return totalBytes + found.content.length > limits.maxTotalBytes
        ? `all files together may have ${limits.maxTotalBytes} bytes`
        : null;
  }
}
