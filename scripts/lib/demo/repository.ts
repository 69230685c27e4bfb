import { execFile } from "node:child_process";
import { cp, mkdir, stat, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { UsageError } from "./options.ts";

const GIT_TIMEOUT_MS = 120_000;
const BRANCH = "main";
const SAMPLE = join(import.meta.dirname, "sample");
const AUTHOR = ["-c", "user.name=Shipfox demo", "-c", "user.email=demo@example.com", "-c", "commit.gpgsign=false"];

const run = promisify(execFile);

export interface DemoRepository {
  /** What the control plane clones: a URL, or a folder of this machine. */
  readonly location: string;
  readonly isLocal: boolean;
  /** What the user should know about what is run. */
  readonly notes: readonly string[];
}

/** A repository in `folder` with the sample workflow. */
export async function makeSampleRepository(folder: string): Promise<DemoRepository> {
  const location = join(folder, "sample");
  await cp(SAMPLE, location, { recursive: true });
  await git(["init", "--quiet", `--initial-branch=${BRANCH}`, location]);
  await git(["-C", location, "add", "--all"]);
  await git(["-C", location, ...AUTHOR, "commit", "--quiet", "--message", "A sample for the demo"]);
  return { location, isLocal: true, notes: [] };
}

/** A URL is taken as it is; of a path the commit at HEAD is copied into `folder`, whatever kind of checkout it is. */
export async function takeRepository(text: string, folder: string, cwd: string): Promise<DemoRepository> {
  const path = await localPath(text, cwd);
  if (path === null) return { location: text, isLocal: false, notes: [] };
  const trust = await trustEveryOwner(folder);
  const commit = await git(["-C", path, "rev-parse", "--verify", "--quiet", "HEAD^{commit}"], trust).catch(() => null);
  if (commit === null) throw new UsageError(`${path} is not a git repository with a commit. Commit something first.`);
  const location = join(folder, `${safeName(path)}.git`);
  await git(["init", "--quiet", "--bare", `--initial-branch=${BRANCH}`, location]);
  const fetch = [
    "fetch",
    "--quiet",
    "--depth=1",
    "--update-shallow",
    "--no-tags",
    "--",
    path,
    `+HEAD:refs/heads/${BRANCH}`,
  ];
  await git(["-C", location, ...fetch], trust);
  const status = await git(["-C", path, "status", "--porcelain", "--untracked-files=normal"], trust).catch(() => "");
  const isDirty = status.trim() !== "";
  const notes = isDirty ? [`${path} has changes that are not committed; they are not part of this run`] : [];
  return { location, isLocal: true, notes: [`commit ${commit.trim().slice(0, 12)} of ${path}`, ...notes] };
}

async function localPath(text: string, cwd: string): Promise<string | null> {
  if (text.startsWith("file://")) return fileURLToPath(text);
  const path = resolve(cwd, text);
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isFolder) return path;
  if (text.includes("://") || /^[^/]+:/.test(text)) return null;
  throw new UsageError(`--repo ${text}: there is no such folder, and it is not a git URL.`);
}

/** The user named this path, so whoever owns it: git would refuse it otherwise, and takes that only from a file. */
async function trustEveryOwner(folder: string): Promise<Record<string, string>> {
  const file = join(folder, "gitconfig");
  await mkdir(folder, { recursive: true });
  await writeFile(file, "[safe]\n\tdirectory = *\n");
  return { GIT_CONFIG_GLOBAL: file };
}

function safeName(path: string): string {
  const name = basename(path)
    .replace(/\.git$/, "")
    .replaceAll(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[-.]+/, "");
  return name === "" ? "repository" : name;
}

async function git(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const { stdout } = await run("git", [...args], { timeout: GIT_TIMEOUT_MS, env: { ...process.env, ...env } });
  return stdout;
}
