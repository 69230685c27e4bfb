import { PassThrough } from "node:stream";
import type { Sandbox } from "../sandbox/sandbox.ts";
import { ArchiveFault } from "./archive-fault.ts";
import type { Compression } from "./compression.ts";
import { type ArchiveLimits, readTar } from "./read-tar.ts";
import { TemporaryFile } from "./temporary-file.ts";
import { writeTar } from "./write-tar.ts";

/** Generous for what builds make, small beside a disk. */
export const ARCHIVE_LIMITS: ArchiveLimits = { maxEntries: 1_000_000, maxBytes: 50 * 1024 * 1024 * 1024 };
const NOTHING_EXIT_CODE = 66;
const MAX_COMPLAINT_BYTES = 2_000;

export interface Packed {
  readonly file: TemporaryFile;
  readonly entries: number;
}

/**
 * Packs what lies at some paths of a job's workspace, relative to it, in which `*` and `?` stand for what lies in one folder.
 * The job's own user reads it, inside the sandbox, so that nothing is reached that the job could not reach; what it says is
 * read again by the rules of archives, whoever wrote it. Null when there is nothing. Throws ArchiveFault, or the reason of the
 * signal; the caller closes the file.
 */
export async function packPaths(options: {
  sandbox: Pick<Sandbox, "exec">;
  paths: readonly string[];
  folder: string;
  compression: Compression;
  signal: AbortSignal;
  limits?: ArchiveLimits;
}): Promise<Packed | null> {
  const { sandbox, paths, compression, signal } = options;
  const failing = new AbortController();
  const output = new PassThrough();
  const file = await TemporaryFile.make(options.folder);
  let complaint = "";
  const writing = writeTar(readTar(output, options.limits ?? ARCHIVE_LIMITS), file, compression);
  writing.catch(() => failing.abort());
  try {
    const result = await sandbox.exec({
      script: packScript(paths),
      env: {},
      workingDirectory: null,
      onOutput: async (stream, chunk) => {
        if (stream === "stderr") complaint = (complaint + chunk.toString("utf8")).slice(0, MAX_COMPLAINT_BYTES);
        // An archive has an end of its own. What pads it may come after its reader has let go of the stream.
        else if (!failing.signal.aborted && output.writable && !output.write(chunk))
          await drained(output, failing.signal);
      },
      signal: AbortSignal.any([signal, failing.signal]),
      graceMs: 0,
    });
    if (result.kind === "exited" && result.exitCode === NOTHING_EXIT_CODE) {
      output.destroy();
      await writing.catch(() => {});
      await file.close();
      return null;
    }
    if (!failing.signal.aborted && (result.kind === "stopped" || result.exitCode !== 0)) {
      output.destroy();
      await writing.catch(() => {});
      signal.throwIfAborted();
      throw new ArchiveFault(`the files could not be read: ${complaint.trim() || "tar failed, or the image has none"}`);
    }
    output.end();
    return { file, entries: await writing };
  } catch (error) {
    output.destroy();
    await writing.catch(() => {});
    await file.close();
    throw error;
  }
}

function drained(output: PassThrough, failing: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    output.once("drain", resolve);
    output.once("close", resolve);
    failing.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** For `sh` and for bash with `-eo pipefail`. Each path begins with `./`, so that none is taken for an option. */
export function packScript(paths: readonly string[]): string {
  const words = paths.map((path) => `./${shellPattern(path.replace(/\/+$/, ""))}`);
  return [
    "set --",
    `for found in ${words.join(" ")}; do`,
    '  if [ -e "$found" ] || [ -L "$found" ]; then set -- "$@" "$found"; fi',
    "done",
    `if [ "$#" -eq 0 ]; then exit ${NOTHING_EXIT_CODE}; fi`,
    'exec tar -cf - "$@"',
    "",
  ].join("\n");
}

/** `*` and `?` stay what they are, everything else is quoted. */
function shellPattern(path: string): string {
  return path
    .split(/([*?]+)/)
    .map((part, index) => (index % 2 === 1 ? part : part === "" ? "" : `'${part.replaceAll("'", "'\\''")}'`))
    .join("");
}
