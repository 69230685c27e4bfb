import { hash } from "node:crypto";
import { access, mkdir, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CheckoutToken } from "@shipfox/shared/machine";
import { CheckoutError, classifyGitFailure } from "./checkout-error.ts";
import { type CommitPack, packOf } from "./commit-pack.ts";
import { fetchArgs, type GitResult, runGit } from "./git-process.ts";
import { type AccessSettings, openAccess, publicUrl } from "./repository-access.ts";

const REMOTE_TIMEOUT_MS = 30 * 60_000;
/** Kept checkouts per mirror; one more and the mirror starts anew, so that it never grows without end. */
const MAX_KEPT_CHECKOUTS = 200;
const UNUSED_MIRROR_MS = 14 * 24 * 3_600_000;
const COMMIT_PATTERN = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;
const REF_PATTERN = /^(?!.*(?:\.\.|@\{|\/\/))[A-Za-z0-9_][^\s~^:?*[\\\p{Cc}]*$/u;
const REFS_FOLDER = "refs/checkout";

/** A commit that is in a mirror, with as much history as was asked for. */
export interface MirroredCommit {
  mirror: string;
  /** Name of the reference in the mirror that holds it. */
  ref: string;
  /** Where it is wanted without its history and that could be packed. */
  pack: CommitPack | null;
}

export interface MirrorSettings extends AccessSettings {
  /** Folder of the mirrors, mode 0700. */
  mirrorFolder: string;
  allowedProtocols: string;
  /** Hosts besides a repository's own from which submodules may come, without a credential. */
  submoduleHosts: readonly string[];
}

/**
 * Bare copies of repositories, one per address and depth, so that a checkout fetches only what is new. Only the runner's
 * own git writes here and nothing here is shown to a step. Calls for one mirror wait for each other.
 */
export class Mirrors {
  readonly settings: MirrorSettings;
  private readonly busy = new Map<string, Promise<unknown>>();

  constructor(settings: MirrorSettings) {
    this.settings = settings;
  }

  /** Removes mirrors that no job has used for two weeks. Called once, before the first job. */
  async removeUnused(): Promise<void> {
    const names = await readdir(this.settings.mirrorFolder).catch(() => []);
    for (const name of names) {
      const path = join(this.settings.mirrorFolder, name);
      const age = await stat(path).then(
        (found) => Date.now() - found.mtimeMs,
        () => 0,
      );
      if (age > UNUSED_MIRROR_MS) await rm(path, { recursive: true, force: true });
    }
  }

  /**
   * Brings the commit into the mirror, over the network only when it is not there yet, and calls `use` before any other job
   * may change the mirror. A damaged mirror is made anew once. Rejects with CheckoutError or GitMissingError.
   */
  async withCommit<Result>(
    token: CheckoutToken,
    signal: AbortSignal,
    use: (commit: MirroredCommit) => Promise<Result>,
  ): Promise<Result> {
    if (!REF_PATTERN.test(token.ref))
      throw new CheckoutError(
        "checkout_failed",
        `${JSON.stringify(token.ref)} is not the name of a commit, branch or tag.`,
      );
    const name = `${hash("sha256", publicUrl(token.repository_url)).slice(0, 32)}-${token.fetch_depth}.git`;
    const mirror = join(this.settings.mirrorFolder, name);
    return await this.exclusively(name, async () => {
      const isNew = await this.open(mirror);
      try {
        return await use(await this.fetch(mirror, token, signal));
      } catch (error) {
        if (isNew || signal.aborted || !(error instanceof CheckoutError) || error.reason !== "checkout_failed")
          throw error;
        await rm(mirror, { recursive: true, force: true });
        await this.open(mirror);
        return await use(await this.fetch(mirror, token, signal));
      }
    });
  }

  /**
   * Does the slow half of `withCommit` ahead where its result can be kept, and names the commit where a branch was asked for,
   * so that the other half need not look again.
   */
  async prefetch(token: CheckoutToken, signal: AbortSignal): Promise<CheckoutToken> {
    if (token.fetch_depth > 1) return token;
    return await this.withCommit(token, signal, async ({ mirror, ref }) => {
      const commit = (await readFile(join(mirror, ref), "utf8")).trim();
      if (commit !== token.ref) await writeFile(join(mirror, REFS_FOLDER, commit), `${commit}\n`);
      return { ...token, ref: commit };
    });
  }

  /** True when it was made just now. */
  private async open(mirror: string): Promise<boolean> {
    const kept = await readdir(join(mirror, REFS_FOLDER)).catch(() => null);
    if (kept !== null && kept.length <= MAX_KEPT_CHECKOUTS) {
      const now = new Date();
      await utimes(mirror, now, now);
      return false;
    }
    await rm(mirror, { recursive: true, force: true });
    // A bare repository needs no more than this; git init would cost a process.
    await mkdir(join(mirror, REFS_FOLDER), { recursive: true, mode: 0o700 });
    await mkdir(join(mirror, "objects"));
    await writeFile(
      join(mirror, "config"),
      "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n",
    );
    await writeFile(join(mirror, "HEAD"), "ref: refs/heads/main\n");
    return true;
  }

  private async fetch(mirror: string, token: CheckoutToken, signal: AbortSignal): Promise<MirroredCommit> {
    const isCommit = COMMIT_PATTERN.test(token.ref);
    const ref = `${REFS_FOLDER}/${isCommit ? token.ref : hash("sha256", token.ref)}`;
    if (!canKeep(token) || !(await exists(join(mirror, ref)))) await this.fetchFromRemote(mirror, token, ref, signal);
    const isPackable = isCommit && token.fetch_depth === 1;
    return { mirror, ref, pack: isPackable ? await packOf(mirror, token.ref, signal) : null };
  }

  private async fetchFromRemote(mirror: string, token: CheckoutToken, ref: string, signal: AbortSignal): Promise<void> {
    const remote = await openAccess(token, this.settings);
    try {
      const result = await runGit({
        args: [
          `--git-dir=${mirror}`,
          ...fetchArgs(publicUrl(token.repository_url), `+${token.ref}:${ref}`, token.fetch_depth),
        ],
        cwd: mirror,
        allowedProtocols: this.settings.allowedProtocols,
        config: remote.config,
        env: remote.env,
        timeoutMs: REMOTE_TIMEOUT_MS,
        signal,
      });
      if (result.exitCode !== 0) throw fetchFailure(token, result);
    } finally {
      await remote.dispose();
    }
  }

  private async exclusively<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.busy.get(name) ?? Promise.resolve();
    const mine = before.then(work, work);
    const settled = mine.then(
      () => {},
      () => {},
    );
    this.busy.set(name, settled);
    try {
      return await mine;
    } finally {
      if (this.busy.get(name) === settled) this.busy.delete(name);
    }
  }
}

/** Branches move, and a later fetch of a depth other than 1 or "all" may have moved the boundary of the history. */
function canKeep(token: CheckoutToken): boolean {
  return COMMIT_PATTERN.test(token.ref) && token.fetch_depth <= 1;
}

function fetchFailure(token: CheckoutToken, result: GitResult): CheckoutError {
  return classifyGitFailure(`Fetching ${token.ref} from ${publicUrl(token.repository_url)}`, result);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
