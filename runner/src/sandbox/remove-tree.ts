import { execa } from "execa";

/**
 * Removes a folder that a step could write, with everything in it: never follows a link, and copes with names that are not
 * UTF-8, paths longer than PATH_MAX and folders without permissions, which is why it is `rm` and not Node's own.
 * Rejects when something is left or the deadline passes.
 */
export async function removeTree(path: string, deadlineMs: number): Promise<void> {
  const options = {
    timeout: deadlineMs,
    stdin: "ignore",
    extendEnv: false,
    env: { PATH: SYSTEM_PATH, LC_ALL: "C" },
  } as const;
  const first = await execa("rm", ["-rf", "--", path], { ...options, reject: false });
  if (first.exitCode === 0) return;
  await execa("chmod", ["-R", "u+rwX", "--", path], { ...options, reject: false });
  await execa("rm", ["-rf", "--", path], options);
}

/** Gives a tree to another user; the links themselves, not what they point to. */
export async function changeOwner(
  path: string,
  owner: { uid: number; gid: number },
  deadlineMs: number,
): Promise<void> {
  await execa("chown", ["-R", "-h", `${owner.uid}:${owner.gid}`, "--", path], {
    timeout: deadlineMs,
    stdin: "ignore",
    extendEnv: false,
    env: { PATH: SYSTEM_PATH, LC_ALL: "C" },
  });
}

const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
