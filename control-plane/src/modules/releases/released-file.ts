import { constants } from "node:fs";
import { lstat, open } from "node:fs/promises";
import { join } from "node:path";
import { ApiError } from "@shipfox/shared/errors";

/** No slash, and no name that begins with a dot. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;
const HOW_TO_BUILD =
  "in a checkout of the same version run scripts/release --out FOLDER, and set SHIPFOX_RELEASES_DIR of the control plane to that folder";

export interface ReleasedFile {
  readonly size: number;
  /** Changes with the contents. */
  readonly etag: string;
  /** From `first` to `last`, and including it. */
  read(first: number, last: number): AsyncIterable<Uint8Array>;
}

/** A file of the folder of releases. Throws 404 `not-found`, which tells what is missing: the file, or all releases. */
export async function findReleasedFile(folder: string, name: string): Promise<ReleasedFile> {
  const path = join(folder, name);
  const found = NAME.test(name) ? await lstat(path).catch(() => null) : null;
  // A link could lead anywhere.
  if (!found?.isFile()) throw new ApiError("not-found", await whyMissing(folder));
  return {
    size: found.size,
    etag: `"${found.size.toString(16)}-${Math.trunc(found.mtimeMs).toString(16)}"`,
    read: (first, last) => readPart(path, first, last),
  };
}

async function whyMissing(folder: string): Promise<string> {
  const sums = await lstat(join(folder, "SHA256SUMS")).catch(() => null);
  return sums === null
    ? `this control plane has no releases to give; ${HOW_TO_BUILD}`
    : "there is no such file among the releases; GET /releases/SHA256SUMS lists them";
}

/** Opened when the client is ready for it, so that nobody who asks and goes away leaves an open file. */
async function* readPart(path: string, first: number, last: number): AsyncGenerator<Uint8Array> {
  if (last < first) return;
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    yield* file.createReadStream({ start: first, end: last, autoClose: false });
  } finally {
    await file.close();
  }
}
