import { execFile } from "node:child_process";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { promisify } from "node:util";
import { WORKFLOW_FOLDER } from "../workflow-files.ts";

const GIT_LIMIT_MS = 120_000;
const BRANCH = "main";
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;
const AUTHOR = { name: "shipfox exec", email: "exec@localhost" };

type Git = (args: readonly string[], input?: string) => Promise<string>;

export interface Snapshot {
  /** A bare repository whose only branch has one commit more than HEAD: the working tree as it is. */
  readonly repository: string;
  /** False where there is no repository: then only workflow files are in it. */
  readonly hasWorkingTree: boolean;
}

export interface WorkflowFile {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
}

/**
 * Commits the working tree around `file` into a new repository in `folder`, with what `.gitignore` leaves in and with
 * `workflows` written over it. The user's own repository is read only: its objects are borrowed, its index is copied.
 */
export async function takeSnapshot(
  folder: string,
  file: string,
  workflows: readonly WorkflowFile[],
): Promise<Snapshot> {
  const repository = join(folder, "repository.git");
  await git(["init", "--quiet", "--bare", `--initial-branch=${BRANCH}`, repository]);
  const root = await workingTree(dirname(file));
  const into = await openIndex(repository, folder, root);
  if (root !== null) await into(["add", "--all", "--", "."]);
  for (const { path, text } of workflows) {
    const blob = await into(["hash-object", "-w", "--stdin"], text);
    await into(["update-index", "--add", "--cacheinfo", `100644,${blob},${path}`]);
  }
  const parents = root === null ? [] : await parentsOf(root);
  const message = ["-m", "The working tree, as it is"];
  const commit = await into(["commit-tree", await into(["write-tree"]), ...parents, ...message]);
  await into(["update-ref", `refs/heads/${BRANCH}`, commit]);
  return { repository, hasWorkingTree: root !== null };
}

/** The path of a workflow file from the root of its repository; one elsewhere is put among the workflows. */
export async function pathInRepository(file: string, inFolder: string): Promise<string> {
  const root = await workingTree(dirname(file));
  if (root === null) return inFolder;
  const path = relative(root, file).split(sep).join("/");
  return path.startsWith(`${WORKFLOW_FOLDER}/`) ? path : inFolder;
}

async function workingTree(folder: string): Promise<string | null> {
  return await git(["-C", folder, "rev-parse", "--show-toplevel"]).catch(() => null);
}

/** Calls with an index of their own. It begins as a copy of the user's, so that files that did not change are not read again. */
async function openIndex(repository: string, folder: string, root: string | null): Promise<Git> {
  const index = join(folder, "index");
  if (root !== null) {
    const path = (name: string) => git(["-C", root, "rev-parse", "--git-path", name]).then((at) => resolve(root, at));
    await copyFile(await path("index"), index).catch(() => undefined);
    await mkdir(join(repository, "objects", "info"), { recursive: true });
    await writeFile(join(repository, "objects", "info", "alternates"), `${await path("objects")}\n`);
  }
  const settings = ["core.bare=false", "core.fsmonitor=false", "core.hooksPath=/dev/null"].flatMap((pair) => [
    "-c",
    pair,
  ]);
  const env = {
    ...process.env,
    GIT_DIR: repository,
    GIT_INDEX_FILE: index,
    GIT_WORK_TREE: root ?? folder,
    GIT_AUTHOR_NAME: AUTHOR.name,
    GIT_AUTHOR_EMAIL: AUTHOR.email,
    GIT_COMMITTER_NAME: AUTHOR.name,
    GIT_COMMITTER_EMAIL: AUTHOR.email,
  };
  return (args, input) => git([...settings, ...args], input, { env, cwd: root ?? folder });
}

/** Of a shallow clone the history is not all here, so none of it is promised. */
async function parentsOf(root: string): Promise<string[]> {
  if ((await git(["-C", root, "rev-parse", "--is-shallow-repository"])) === "true") return [];
  const head = await git(["-C", root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"]).catch(() => null);
  return head === null ? [] : ["-p", head];
}

async function git(
  args: readonly string[],
  input?: string,
  options: { env?: NodeJS.ProcessEnv; cwd?: string } = {},
): Promise<string> {
  const running = promisify(execFile)("git", [...args], {
    ...options,
    timeout: GIT_LIMIT_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
  });
  // One that fails at once reads nothing; how it ended says why.
  running.child.stdin?.on("error", () => undefined).end(input ?? "");
  return (await running).stdout.trim();
}
