import { lstat } from "node:fs/promises";
import { join } from "node:path";
import type { CheckoutToken } from "@shipfox/shared/machine";
import { CheckoutError, classifyGitFailure } from "./checkout-error.ts";
import { appendConfig, checkOut, configValue } from "./git-checkout.ts";
import { runGit } from "./git-process.ts";
import type { Mirrors } from "./mirror.ts";
import { publicUrl } from "./repository-access.ts";
import { resolveSubmoduleUrl, submoduleToken } from "./submodule-url.ts";

const MAX_SUBMODULES = 100;
const MAX_DEPTH = 10;
/** `git config` and `git ls-tree` answer within what `runGit` keeps of their output. */
const MAX_GITMODULES_BYTES = 32 * 1024;
const MAX_PATH_BYTES = 4096;
const LOCAL_TIMEOUT_MS = 60_000;
const GITLINK_MODE = "160000";

export interface SubmoduleCheckout {
  /** Where it lies, below the workspace. */
  path: string;
  workspace: string;
  token: CheckoutToken;
  commit: string;
}

export interface SubmoduleOptions {
  workspace: string;
  token: CheckoutToken;
  mirrors: Mirrors;
  recursive: boolean;
  signal: AbortSignal;
}

/**
 * Fills the submodules of a fresh checkout, each at the commit that the repository names. Only the runner's own git works
 * here, before any step: what a repository says about its submodules is read as data. Rejects with CheckoutError.
 */
export async function checkOutSubmodules(options: SubmoduleOptions): Promise<SubmoduleCheckout[]> {
  const done: SubmoduleCheckout[] = [];
  const fill = async (workspace: string, token: CheckoutToken, prefix: string, depth: number): Promise<void> => {
    for (const { name, path, url } of await readModules(workspace, options.signal)) {
      const commit = await readCommit(workspace, path, options.signal);
      if (commit === null) continue;
      if (done.length >= MAX_SUBMODULES) throw refused(`there are more than ${MAX_SUBMODULES} submodules`);
      const address = resolveSubmoduleUrl(token.repository_url, url);
      const own = { ...submoduleToken(token, address, options.mirrors.settings), ref: commit };
      const folder = await requireRealFolder(workspace, path);
      await options.mirrors.withCommit(own, options.signal, (source) =>
        checkOut({ workspace: folder, source, token: own, signal: options.signal }),
      );
      await appendConfig(workspace, [
        `[submodule ${configValue(name)}]`,
        "\tactive = true",
        `\turl = ${configValue(publicUrl(own.repository_url))}`,
      ]);
      const at = prefix === "" ? path : `${prefix}/${path}`;
      done.push({ path: at, workspace: folder, token: own, commit });
      if (!options.recursive) continue;
      if (depth >= MAX_DEPTH) throw refused(`submodules are nested more than ${MAX_DEPTH} deep`);
      await fill(folder, own, at, depth + 1);
    }
  };
  await fill(options.workspace, options.token, "", 1);
  return done;
}

interface Module {
  name: string;
  path: string;
  url: string;
}

async function readModules(workspace: string, signal: AbortSignal): Promise<Module[]> {
  const file = join(workspace, ".gitmodules");
  const found = await lstat(file).catch(() => null);
  if (found === null) return [];
  if (!found.isFile()) throw refused(".gitmodules is not a regular file");
  if (found.size > MAX_GITMODULES_BYTES) throw refused(`.gitmodules is larger than ${MAX_GITMODULES_BYTES} bytes`);
  const entries = await readGit(workspace, ["config", "--no-includes", "--file", file, "--null", "--list"], signal);
  const modules = new Map<string, Partial<Module>>();
  for (const entry of entries.split("\0")) {
    const [, name, key, value] = /^submodule\.(.+)\.(path|url)\n(.*)$/s.exec(entry) ?? [];
    if (name === undefined || value === undefined) continue;
    modules.set(name, { ...modules.get(name), [key as string]: value });
  }
  return [...modules].flatMap(([name, { path, url }]) =>
    path === undefined || url === undefined ? [] : [{ name, path: requirePlainPath(path), url }],
  );
}

/** The commit at which the checkout wants the submodule; null when the path is no submodule at this commit. */
async function readCommit(workspace: string, path: string, signal: AbortSignal): Promise<string | null> {
  const line = await readGit(workspace, ["--literal-pathspecs", "ls-tree", "-z", "HEAD", "--", path], signal);
  const [mode, , commit] = line.split(/[ \t\0]/);
  return mode === GITLINK_MODE && commit !== undefined ? commit : null;
}

async function readGit(workspace: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  const result = await runGit({
    args: [`--git-dir=${join(workspace, ".git")}`, ...args],
    cwd: workspace,
    allowedProtocols: "none",
    timeoutMs: LOCAL_TIMEOUT_MS,
    signal,
  });
  if (result.exitCode !== 0) throw classifyGitFailure("Reading the submodules", result);
  return result.stdout;
}

function requirePlainPath(path: string): string {
  const parts = path.split("/");
  const isPlain = parts.every((part) => part !== "" && part !== "." && part !== ".." && part.toLowerCase() !== ".git");
  if (isPlain && Buffer.byteLength(path) <= MAX_PATH_BYTES && !/\p{Cc}/u.test(path)) return path;
  throw refused(`the path ${JSON.stringify(path)} of a submodule leads outside of the repository`);
}

/** git made the folder of a submodule, empty. Whatever else is on the way to it is not followed. */
async function requireRealFolder(workspace: string, path: string): Promise<string> {
  let folder = workspace;
  for (const part of path.split("/")) {
    folder = join(folder, part);
    const found = await lstat(folder).catch(() => null);
    if (!found?.isDirectory()) throw refused(`the submodule ${JSON.stringify(path)} has no folder of its own`);
  }
  return folder;
}

function refused(why: string): CheckoutError {
  return new CheckoutError("checkout_failed", `The submodules were not fetched: ${why}.`);
}
