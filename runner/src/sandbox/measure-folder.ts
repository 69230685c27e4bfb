import { execa } from "execa";

const BYTES_PER_BLOCK = 1024;

/**
 * Bytes that a folder takes on its file system, in a process of its own and with the lowest priority, without following links
 * or leaving the file system. What cannot be read is not counted. Rejects when that takes longer than `deadlineMs`.
 */
export async function measureFolder(path: string, deadlineMs: number): Promise<number> {
  const result = await execa("nice", ["-n", "19", "du", "-skx", "--", path], {
    timeout: deadlineMs,
    reject: false,
    stdin: "ignore",
    stderr: "ignore",
    extendEnv: false,
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C" },
  });
  const blocks = /^(\d+)\s/.exec(result.stdout)?.[1];
  if (blocks === undefined) throw new Error(`Cannot measure ${path}: ${result.shortMessage ?? "du printed no size"}`);
  return Number(blocks) * BYTES_PER_BLOCK;
}
