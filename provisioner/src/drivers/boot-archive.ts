import { buffer } from "node:stream/consumers";
import { pack } from "tar-stream";
import type { BootFile } from "./boot-files.ts";

const SECRET_FILE_MODE = 0o600;

/** A tar archive of the files, to be unpacked at `/`: root's, and read by root only unless `mode` says otherwise. */
export async function bootArchive(files: readonly (BootFile & { readonly mode?: number })[]): Promise<Buffer> {
  const archive = pack();
  const owner = { uid: 0, gid: 0, mtime: new Date(0) };
  for (const { path, content, mode = SECRET_FILE_MODE } of files)
    archive.entry({ ...owner, mode, name: path.slice(1) }, content);
  archive.finalize();
  return buffer(archive);
}
