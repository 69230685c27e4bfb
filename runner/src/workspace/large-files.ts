import { join } from "node:path";
import type { CheckoutToken } from "@shipfox/shared/machine";
import { CheckoutError, classifyGitFailure } from "./checkout-error.ts";
import { appendConfig } from "./git-checkout.ts";
import { runGit } from "./git-process.ts";
import type { MirrorSettings } from "./mirror.ts";
import { openAccess, publicUrl } from "./repository-access.ts";

const FETCH_TIMEOUT_MS = 60 * 60_000;
const VERSION_TIMEOUT_MS = 10_000;
/** git-lfs reserves far more address space than it uses. */
const MEMORY_BYTES = 64 * 1024 ** 3;

/**
 * Replaces the pointers of Git LFS in a fresh checkout by the files they stand for. The server is the repository's own,
 * whatever a `.lfsconfig` says. Rejects with CheckoutError, `git_unavailable` when git-lfs is not installed.
 */
export async function fetchLargeFiles(options: {
  workspace: string;
  token: CheckoutToken;
  settings: MirrorSettings;
  signal: AbortSignal;
}): Promise<void> {
  const { workspace, token, settings, signal } = options;
  const url = publicUrl(token.repository_url);
  const access = await openAccess(token, settings);
  const git = async (args: readonly string[], timeoutMs: number) =>
    await runGit({
      args: [`--git-dir=${join(workspace, ".git")}`, `--work-tree=${workspace}`, "lfs", ...args],
      cwd: workspace,
      allowedProtocols: settings.allowedProtocols,
      config: { ...access.config, ...PINNED, ...FILTERS, "lfs.url": serverOf(url) },
      env: access.env,
      timeoutMs,
      memoryBytes: MEMORY_BYTES,
      signal,
    });
  try {
    const found = await git(["version"], VERSION_TIMEOUT_MS);
    if (found.exitCode !== 0) throw new CheckoutError("git_unavailable", MISSING);
    const pulled = await git(["pull"], FETCH_TIMEOUT_MS);
    if (pulled.exitCode !== 0) throw classifyGitFailure(`Fetching the large files of ${url}`, pulled);
  } finally {
    await access.dispose();
  }
  const filters = Object.entries(FILTERS).map(([key, value]) => `\t${key.slice("filter.lfs.".length)} = ${value}`);
  await appendConfig(workspace, ['[filter "lfs"]', ...filters]);
}

/** A repository's `.lfsconfig` may set some of these. */
const PINNED: Readonly<Record<string, string>> = {
  "lfs.basictransfersonly": "true",
  "lfs.standalonetransferagent": "",
  "lfs.skipdownloaderrors": "false",
  "lfs.locksverify": "false",
  "lfs.concurrenttransfers": "4",
  "lfs.activitytimeout": "60",
  "lfs.transfer.maxretries": "3",
  "lfs.transfer.maxretrydelay": "5",
};

/** git-lfs touches no file without them; in a step git needs them to see the files as unchanged. */
const FILTERS: Readonly<Record<string, string>> = {
  "filter.lfs.clean": "git-lfs clean -- %f",
  "filter.lfs.smudge": "git-lfs smudge -- %f",
  "filter.lfs.process": "git-lfs filter-process",
};

const MISSING =
  "The job asks for the large files of the repository (lfs: true), but git-lfs is not installed on the runner's machine; install it, for example with: apt-get install git-lfs";

/** Where git-lfs looks by itself. */
function serverOf(url: string): string {
  if (!/^https?:/.test(url)) return url;
  const repository = url.replace(/\/+$/, "");
  return repository.endsWith(".git") ? `${repository}/info/lfs` : `${repository}.git/info/lfs`;
}
