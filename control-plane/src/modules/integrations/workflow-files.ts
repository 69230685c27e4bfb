import { join } from "node:path";
import { MAX_WORKFLOW_BYTES } from "@shipfox/shared/api/definitions";
import { ApiError } from "@shipfox/shared/errors";
import type { GitSession, RemoteHead } from "./git-session.ts";
import type { Protocol } from "./repository-url.ts";

export const WORKFLOWS_FOLDER = ".shipfox/workflows";
/** Limit of the published API: files below the folder, of any name. */
export const MAX_WORKFLOW_FILES = 100;
/** All of them together: what one sync may hold in memory. */
const MAX_WORKFLOWS_BYTES = 32 * 1024 * 1024;
/** A host that cannot leave file contents out sends the whole tree of the newest commit. */
const MAX_FETCH_BYTES = 1024 * 1024 * 1024;
const MAX_LISTING_BYTES = 4 * 1024 * 1024;
const BATCH_OVERHEAD_BYTES = 256 * MAX_WORKFLOW_FILES;

const FETCHED = "refs/shipfox/head";
const EXTENSION_PATTERN = /\.ya?ml$/;
/** `<mode> blob <oid>\t<path>`; other modes are symbolic links and submodules. */
const REGULAR_FILE_PATTERN = /^100(?:644|755|664) blob ([0-9a-f]{40,64})\t(.+)$/s;

export interface WorkflowFile {
  /** From the root of the repository. */
  readonly path: string;
  /** Null for a file of more than `MAX_WORKFLOW_BYTES`. */
  readonly content: Buffer | null;
}

export interface WorkflowSet extends RemoteHead {
  /** In order of path; may be empty. */
  readonly files: readonly WorkflowFile[];
}

interface Listed {
  readonly oid: string;
  readonly path: string;
}

/** Fetches the newest commit without file contents, lists the folder, then fetches those contents in one go. */
export async function fetchWorkflowFiles(
  session: GitSession,
  head: RemoteHead,
  protocol: Protocol,
): Promise<WorkflowSet> {
  const gitDir = `--git-dir=${join(session.folder, "repository")}`;
  await session.local({ args: [gitDir, "init", "--quiet", "--bare", "--template="] });
  const fetch = [
    gitDir,
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--filter=blob:none",
    ...uploadPack(protocol),
  ];
  const source = head.branch === "HEAD" ? "HEAD" : `refs/heads/${head.branch}`;
  await session.remote({
    args: [...fetch, "--depth=1", "origin", `+${source}:${FETCHED}`],
    maxFileBytes: MAX_FETCH_BYTES,
  });
  const sha = (await session.local({ args: [gitDir, "rev-parse", "--verify", FETCHED] })).toString("utf8").trim();

  const files = await list(session, gitDir);
  if (files.length === 0) return { branch: head.branch, sha, files: [] };
  const missing = await missingContents(session, gitDir);
  if (missing.length > 0) {
    await session.remote({
      args: [...fetch, "--stdin", "origin"],
      input: missing.join("\n"),
      maxFileBytes: MAX_WORKFLOWS_BYTES,
    });
  }
  const fitting = await listFitting(session, gitDir, files);
  const contents = await readContents(session, gitDir, fitting);
  const read = files.map(({ path }) => ({ path, content: contents.get(path) ?? null }));
  return { branch: head.branch, sha, files: read };
}

/** A repository on our own disk can leave contents out whatever its configuration says. */
function uploadPack(protocol: Protocol): string[] {
  if (protocol !== "file") return [];
  return ["--upload-pack=git -c uploadpack.allowFilter=true -c uploadpack.allowAnySHA1InWant=true upload-pack"];
}

async function list(session: GitSession, gitDir: string): Promise<Listed[]> {
  const output = await session.local({
    args: [gitDir, "ls-tree", "-r", "-z", FETCHED, "--", `${WORKFLOWS_FOLDER}/`],
    maxOutputBytes: MAX_LISTING_BYTES,
  });
  const entries = output
    .toString("utf8")
    .split("\0")
    .filter((entry) => entry !== "");
  if (entries.length > MAX_WORKFLOW_FILES) {
    throw new ApiError(
      "too-many-files",
      `${WORKFLOWS_FOLDER}/ holds ${entries.length} files, more than ${MAX_WORKFLOW_FILES}`,
    );
  }
  const files: Listed[] = [];
  for (const entry of entries) {
    const [, oid, path] = REGULAR_FILE_PATTERN.exec(entry) ?? [];
    if (oid !== undefined && path !== undefined && EXTENSION_PATTERN.test(path)) files.push({ oid, path });
  }
  return files;
}

async function missingContents(session: GitSession, gitDir: string): Promise<string[]> {
  const output = await session.local({
    args: [
      gitDir,
      "rev-list",
      "--objects",
      "--missing=print",
      "--no-object-names",
      "--max-count=1",
      FETCHED,
      "--",
      WORKFLOWS_FOLDER,
    ],
    maxOutputBytes: MAX_LISTING_BYTES,
  });
  return output
    .toString("utf8")
    .split("\n")
    .filter((line) => line.startsWith("?"))
    .map((line) => line.slice(1));
}

/** The files that are small enough. Throws when these are too much together. */
async function listFitting(session: GitSession, gitDir: string, files: readonly Listed[]): Promise<Listed[]> {
  const output = await session.local({
    args: [gitDir, "cat-file", "--batch-check=%(objectsize)"],
    input: lines(files),
  });
  const sizes = output.toString("utf8").trimEnd().split("\n").map(Number);
  const fitting = sizes.map((size) => size <= MAX_WORKFLOW_BYTES);
  const total = sizes.filter((_, index) => fitting[index]).reduce((sum, size) => sum + size, 0);
  if (total > MAX_WORKFLOWS_BYTES) {
    throw new ApiError(
      "content-too-large",
      `the files in ${WORKFLOWS_FOLDER}/ have ${total} bytes together, more than ${MAX_WORKFLOWS_BYTES}`,
    );
  }
  return files.filter((_, index) => fitting[index]);
}

/** Format of `cat-file --batch`: `<oid> blob <size>\n<content>\n` for each. */
async function readContents(
  session: GitSession,
  gitDir: string,
  files: readonly Listed[],
): Promise<Map<string, Buffer>> {
  if (files.length === 0) return new Map();
  const output = await session.local({
    args: [gitDir, "cat-file", "--batch"],
    input: lines(files),
    maxOutputBytes: MAX_WORKFLOWS_BYTES + BATCH_OVERHEAD_BYTES,
  });
  let at = 0;
  const contents = files.map(({ path }): [string, Buffer] => {
    const headerEnd = output.indexOf("\n", at);
    const size = Number(output.toString("latin1", at, headerEnd).split(" ")[2]);
    if (headerEnd < 0 || !Number.isInteger(size))
      throw new ApiError("provider-unavailable", `the content of ${path} could not be fetched`);
    const start = headerEnd + 1;
    at = start + size + 1;
    return [path, Buffer.from(output.subarray(start, start + size))];
  });
  return new Map(contents);
}

function lines(files: readonly Listed[]): string {
  return files.map(({ oid }) => `${oid}\n`).join("");
}
