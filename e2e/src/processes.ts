import { readdir, readFile, readlink } from "node:fs/promises";

/** Ids of the living processes of this machine, those in containers included, that sleep for `seconds`. */
export function processesWith(seconds: string): Promise<number[]> {
  return processesWhere(async (folder) => {
    return (await readFile(`${folder}/cmdline`, "utf8")) === `sleep\0${seconds}\0`;
  });
}

/** Ids of the living processes that stand in a folder, or in one below it, or got its path as an argument or a variable. */
export function processesBelow(folder: string): Promise<number[]> {
  return processesWhere(async (process) => {
    const [standsIn, commandLine, environment] = await Promise.all([
      readlink(`${process}/cwd`),
      readFile(`${process}/cmdline`, "utf8"),
      readFile(`${process}/environ`, "utf8"),
    ]);
    return [standsIn, commandLine, environment].some((text) => text.includes(folder));
  });
}

/** For a process that may have ended since it was seen. */
export function killIfThere(pid: number, signal: "SIGSTOP" | "SIGKILL"): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

async function processesWhere(test: (folder: string) => Promise<boolean>): Promise<number[]> {
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    // What ends while we look is not there.
    ids.map(async (id) => ((await test(`/proc/${id}`).catch(() => false)) ? [Number(id)] : [])),
  );
  return found.flat();
}
