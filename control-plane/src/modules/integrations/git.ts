import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ApiError } from "@shipfox/shared/errors";
import { execa } from "execa";
import PQueue from "p-queue";
import { resolvePublic } from "./addresses.ts";
import { type GitCredential, gitEnvironment, type GitSurroundings, type RemoteAccess } from "./git-environment.ts";
import { gitFailure } from "./git-failure.ts";
import type { GitCommand, GitSession, RemoteHead } from "./git-session.ts";
import { type Heads, readHeads } from "./polling/heads.ts";
import { parseRepositoryUrl, type RepositoryUrl, type UrlSettings } from "./repository-url.ts";
import { withoutCredential } from "./without-credential.ts";
import { fetchWorkflowFiles, type WorkflowSet } from "./workflow-files.ts";

const MAX_CONCURRENT = 4;
const MAX_WAITING = 256;
const LS_REMOTE_TIMEOUT_MS = 15_000;
const FETCH_TIMEOUT_MS = 60_000;
/** Branches that are followed beside the default one. */
const MAX_BRANCHES = 1_000;
const MAX_HEADS_BYTES = 16 * 1024 * 1024;
const DEFAULT_MAX_OUTPUT_BYTES = 1024 * 1024;
/** `ulimit -f` counts in these. */
const LIMIT_BLOCK_BYTES = 512;

export interface GitSource {
  readonly repository: RepositoryUrl;
  readonly credential: GitCredential;
  /** The operator named the host by a setting: it may be a private one, and serve http. */
  readonly namedByOperator?: boolean;
}

export interface GitOptions {
  /** For host keys and temporary folders; this process alone uses it. */
  readonly folder: string;
  readonly urls: UrlSettings;
  /** The control plane's own; only the search path and proxy and certificate settings are used. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly lsRemoteTimeoutMs?: number;
  readonly fetchTimeoutMs?: number;
}

/**
 * Reads repositories with the host's git. Nothing of a repository is ever checked out or executed: hooks, system and
 * user configuration, prompts, redirects and every protocol but the URL's own are off.
 *
 * At most 4 at once, the others wait in a bounded line. Errors are ApiErrors: `repository-not-found`, `access-denied`,
 * `timeout`, `provider-unavailable`, `content-too-large`, `too-many-files`, `invalid-repository-url`, `overloaded`.
 */
export class Git {
  readonly #options: GitOptions;
  readonly #work: string;
  readonly #surroundings: GitSurroundings;
  readonly #queue = new PQueue({ concurrency: MAX_CONCURRENT });
  readonly #stop = new AbortController();

  /** Use `openGit`. */
  constructor(options: GitOptions) {
    const { folder } = options;
    this.#options = options;
    this.#work = join(folder, "work");
    this.#surroundings = {
      home: join(folder, "home"),
      knownHosts: join(folder, "known_hosts"),
      environment: options.environment,
    };
  }

  /** Which branch is the default one, and its commit. 15 s at most. */
  lsRemote(source: GitSource): Promise<RemoteHead> {
    return this.#session(source, this.#options.lsRemoteTimeoutMs ?? LS_REMOTE_TIMEOUT_MS, readHead);
  }

  /** The default branch, and where it and all other branches are; of a repository with very many only the default one. 15 s at most. */
  heads(source: GitSource): Promise<{ branch: string; heads: Heads }> {
    return this.#session(source, this.#options.lsRemoteTimeoutMs ?? LS_REMOTE_TIMEOUT_MS, async (session) => {
      const args = ["ls-remote", "--symref", "origin", "HEAD", "refs/heads/*"];
      const output = (await session.remote({ args, maxOutputBytes: MAX_HEADS_BYTES })).toString("utf8");
      const { branch } = headIn(output);
      return { branch, heads: readHeads(output, branch, MAX_BRANCHES) };
    });
  }

  /** The files below `.shipfox/workflows/` of the default branch. Little else is transferred. 60 s at most. */
  fetchWorkflows(source: GitSource): Promise<WorkflowSet> {
    return this.#session(source, this.#options.fetchTimeoutMs ?? FETCH_TIMEOUT_MS, async (session) =>
      fetchWorkflowFiles(session, await readHead(session), source.repository.protocol),
    );
  }

  /** Ends what runs; later calls are refused. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#queue.onIdle();
  }

  async #session<T>(source: GitSource, timeoutMs: number, task: (session: GitSession) => Promise<T>): Promise<T> {
    if (this.#queue.size >= MAX_WAITING)
      throw new ApiError("overloaded", "too many repositories are waiting to be read; try again shortly");
    const redact = withoutCredential(source.credential);
    return this.#queue.add(async () => {
      if (this.#stop.signal.aborted) throw new ApiError("shutting-down");
      const folder = await mkdtemp(join(this.#work, "session-"));
      try {
        const remote = await this.#remoteAccess(source, folder);
        const deadline = performance.now() + timeoutMs;
        const run = (command: GitCommand, access: RemoteAccess | null) =>
          this.#run(command, gitEnvironment(this.#surroundings, access), {
            cwd: folder,
            timeoutMs: deadline - performance.now(),
            redact,
          });
        return await task({
          folder,
          remote: (command) => run(command, remote),
          local: (command) => run(command, null),
        });
      } catch (error) {
        // A message may name a file or a branch, which are the host's words too.
        if (error instanceof ApiError) error.message = redact(error.message);
        throw error;
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
  }

  async #remoteAccess(source: GitSource, folder: string): Promise<RemoteAccess> {
    const { repository, credential, namedByOperator = false } = source;
    // The settings may have become stricter since the URL was stored.
    if (!namedByOperator) parseRepositoryUrl(repository.url, this.#options.urls);
    const pinned = repository.protocol !== "file" && !this.#options.urls.allowPrivate && !namedByOperator;
    const address = pinned ? await resolvePublic(repository.host) : null;
    let sshKeyFile: string | null = null;
    if (repository.protocol === "ssh" && credential.sshKey !== null) {
      sshKeyFile = join(folder, "key");
      await writeFile(sshKeyFile, `${credential.sshKey.trimEnd()}\n`, { mode: 0o600 });
    }
    return { repository, credential, address, sshKeyFile };
  }

  async #run(
    command: GitCommand,
    env: Record<string, string>,
    { cwd, timeoutMs, redact }: { cwd: string; timeoutMs: number; redact: (text: string) => string },
  ): Promise<Buffer> {
    if (timeoutMs < 1) throw gitFailure({ stderr: "", timedOut: true, overOutput: false, signal: undefined });
    const [program, args] = limited(command);
    const subprocess = execa(program, args, {
      cwd,
      env,
      extendEnv: false,
      ...(command.input === undefined ? { stdin: "ignore" as const } : { input: command.input }),
      encoding: "buffer",
      stripFinalNewline: false,
      maxBuffer: command.maxOutputBytes ?? DEFAULT_MAX_OUTPUT_BYTES,
      // A group of its own: git's helpers, which do the waiting, survive the death of git.
      detached: true,
      reject: false,
    });
    const deadline = AbortSignal.timeout(Math.ceil(timeoutMs));
    const stopped = AbortSignal.any([deadline, this.#stop.signal]);
    const kill = () => killGroup(subprocess.pid);
    stopped.addEventListener("abort", kill, { once: true });
    const result = await subprocess;
    stopped.removeEventListener("abort", kill);
    if (!result.failed) return Buffer.from(result.stdout);
    if (result.isMaxBuffer) killGroup(subprocess.pid);
    if (this.#stop.signal.aborted) throw new ApiError("shutting-down");
    if (result.exitCode === undefined && result.signal === undefined && !result.isMaxBuffer)
      throw missingGit(result.cause);
    throw gitFailure({
      // Before it is quoted in part, which could cut the credential in two.
      stderr: redact(Buffer.from(result.stderr).toString("utf8")),
      timedOut: deadline.aborted,
      overOutput: result.isMaxBuffer,
      signal: result.signal,
    });
  }
}

function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing of the group is left.
  }
}

/** Makes the folder and removes what a killed process left there. */
export async function openGit(options: GitOptions): Promise<Git> {
  const folder = resolve(options.folder);
  await rm(join(folder, "work"), { recursive: true, force: true });
  for (const name of ["work", "home"]) await mkdir(join(folder, name), { recursive: true, mode: 0o700 });
  return new Git({ ...options, folder });
}

async function readHead(session: GitSession): Promise<RemoteHead> {
  const output = await session.remote({ args: ["ls-remote", "--symref", "origin", "HEAD"] });
  return headIn(output.toString("utf8"));
}

function headIn(text: string): RemoteHead {
  const sha = /^([0-9a-f]{40,64})\tHEAD$/m.exec(text)?.[1];
  if (sha === undefined) {
    throw new ApiError(
      "repository-not-found",
      "the repository is empty: it has no default branch yet; push a first commit",
    );
  }
  return { branch: DEFAULT_BRANCH.exec(text)?.[1] ?? "HEAD", sha };
}

/** A branch as git names them; a hostile server's line with control characters or a leading dash is no branch. */
const DEFAULT_BRANCH = /^ref: refs\/heads\/([^-\p{Cc}\p{Cf}\s~^:?*[\\][^\p{Cc}\p{Cf}\s~^:?*[\\]*)\tHEAD$/mu;

/** Address space of git and its helpers: a hostile server can announce references without end, and git keeps them all. */
const MAX_GIT_MEMORY_KIB = 2 * 1024 * 1024;

/** The shell sets the limits and becomes git, so that there is one process to kill. */
function limited({ args, maxFileBytes }: GitCommand): [program: string, args: readonly string[]] {
  const blocks = maxFileBytes === undefined ? "unlimited" : String(Math.ceil(maxFileBytes / LIMIT_BLOCK_BYTES));
  const script = 'ulimit -v "$1" && ulimit -f "$2" && shift 2 && exec git "$@"';
  return ["/bin/sh", ["-c", script, "sh", String(MAX_GIT_MEMORY_KIB), blocks, ...args]];
}

function missingGit(cause: unknown): ApiError {
  return new ApiError(
    "provider-unavailable",
    "git could not be started on the control plane's host; install git there",
    { cause },
  );
}
