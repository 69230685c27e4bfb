import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CheckoutToken } from "@shipfox/shared/machine";
import { classifyGitFailure } from "./checkout-error.ts";
import { usePack } from "./commit-pack.ts";
import { fetchArgs, runGit } from "./git-process.ts";
import type { MirroredCommit } from "./mirror.ts";
import { publicUrl } from "./repository-access.ts";

const LOCAL_TIMEOUT_MS = 10 * 60_000;
const LOCAL_REF = "refs/shipfox/checkout";

/** What a report tells about a checkout. */
export interface CheckoutResult {
  repository: string;
  ref: string;
  commit: string;
  path: string;
}

type LocalGit = (what: string, args: readonly string[]) => Promise<void>;

/**
 * Fills an empty workspace from a mirror: an ordinary repository on a detached HEAD whose `origin` is the repository
 * without a credential. To be called before any step ran in the workspace, because a step could make git run its commands.
 * Everything belongs to the runner afterwards. Resolves to the commit's id; rejects with CheckoutError.
 */
export async function checkOut(options: {
  workspace: string;
  source: MirroredCommit;
  token: CheckoutToken;
  signal: AbortSignal;
}): Promise<string> {
  const { workspace, source, token, signal } = options;
  const gitDir = join(workspace, ".git");
  await writeRepository(gitDir, publicUrl(token.repository_url));
  const git: LocalGit = async (what, args) => {
    const result = await runGit({
      args: [`--git-dir=${gitDir}`, `--work-tree=${workspace}`, ...args],
      cwd: workspace,
      allowedProtocols: "file",
      timeoutMs: LOCAL_TIMEOUT_MS,
      signal,
    });
    if (result.exitCode !== 0) throw classifyGitFailure(what, result);
  };
  if (source.pack === null) await copyHistory(git, source, token);
  else await usePack(source.pack, gitDir);
  const detach = ["checkout", "--quiet", "--force", "--detach", source.pack?.commit ?? LOCAL_REF];
  await git("Checking the commit out", detach);
  return (await readFile(join(gitDir, "HEAD"), "utf8")).trim();
}

async function copyHistory(git: LocalGit, source: MirroredCommit, token: CheckoutToken): Promise<void> {
  const fetch = fetchArgs(source.mirror, `+${source.ref}:${LOCAL_REF}`, token.fetch_depth);
  await git("Copying the commit into the workspace", fetch);
}

/** What is added to the configuration of a fresh repository; nothing of a step has run in it. */
export async function appendConfig(workspace: string, lines: readonly string[]): Promise<void> {
  await appendFile(join(workspace, ".git", "config"), `${lines.join("\n")}\n`);
}

/** A value as git reads it back. Control characters are refused before. */
export function configValue(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

/** What `git init` and `git remote add` would write, without their processes. */
async function writeRepository(gitDir: string, origin: string): Promise<void> {
  await mkdir(join(gitDir, "objects"), { recursive: true });
  await mkdir(join(gitDir, "refs", "heads"), { recursive: true });
  await writeFile(join(gitDir, "HEAD"), "ref: refs/heads/main\n");
  const config = [
    "[core]",
    "\trepositoryformatversion = 0",
    "\tfilemode = true",
    "\tbare = false",
    "\tlogallrefupdates = true",
    '[remote "origin"]',
    `\turl = ${configValue(origin)}`,
    "\tfetch = +refs/heads/*:refs/remotes/origin/*",
  ];
  await writeFile(join(gitDir, "config"), `${config.join("\n")}\n`);
}
