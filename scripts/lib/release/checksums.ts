import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

export const SUMS_FILE = "SHA256SUMS";

export function sha256(contents: Uint8Array): string {
  return createHash("sha256").update(contents).digest("hex");
}

/** The text of a SHA256SUMS for all tarballs of a folder, as `sha256sum -c` reads it. */
export async function checksums(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".tar.gz")).toSorted();
  const lines = names.map(async (name) => `${sha256(await readFile(join(folder, name)))}  ${name}\n`);
  return (await Promise.all(lines)).join("");
}
