import { tmpdir } from "node:os";
import { execa } from "execa";
import { type Check, type Finding, fail, ok, warn } from "@shipfox/shared/operate/check";

const RUN_LIMIT_MS = 5_000;
/** `GIT_CONFIG_COUNT`, by which credentials reach git without standing on a disk or a command line. */
const MIN_GIT = [2, 31] as const;

export const gitChecks: readonly Check[] = [
  { name: "git", run: checkGit },
  { name: "git-lfs", run: checkLfs },
];

async function checkGit(signal: AbortSignal): Promise<Finding> {
  const text = await output("git", ["--version"], signal);
  const fix = "Install git 2.31 or newer, for example with: apt-get install git";
  if (text === null) return fail("git is not installed", fix);
  const version = parseGitVersion(text);
  if (version === null) return warn(`the version of git is not understood: "${text}"`, fix);
  const [major, minor] = version;
  if (major < MIN_GIT[0] || (major === MIN_GIT[0] && minor < MIN_GIT[1]))
    return fail(`git ${major}.${minor} is too old`, fix);
  return ok(text);
}

/** Major and minor of what `git --version` prints; null on anything else. */
export function parseGitVersion(text: string): readonly [major: number, minor: number] | null {
  const match = /^git version (\d{1,4})\.(\d{1,4})/.exec(text);
  return match ? [Number(match[1]), Number(match[2])] : null;
}

async function checkLfs(signal: AbortSignal): Promise<Finding> {
  const text = await output("git", ["lfs", "version"], signal);
  if (text !== null) return ok(text.split(" ")[0] ?? text);
  return warn(
    "not installed: repositories that use it are checked out with pointers instead of files",
    "If any of your repositories uses Git LFS, install it, for example with: apt-get install git-lfs",
  );
}

async function output(file: string, args: readonly string[], signal: AbortSignal): Promise<string | null> {
  const result = await execa(file, [...args], {
    reject: false,
    stdin: "ignore",
    timeout: RUN_LIMIT_MS,
    cancelSignal: signal,
    cwd: tmpdir(),
    env: { GIT_CONFIG_NOSYSTEM: "1", GIT_CONFIG_GLOBAL: "/dev/null", LC_ALL: "C" },
  });
  return result.exitCode === 0 ? result.stdout.trim() : null;
}
