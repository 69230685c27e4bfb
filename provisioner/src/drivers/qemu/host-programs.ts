import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { execa } from "execa";
import { ProviderError } from "../driver.ts";

const MAX_OUTPUT_CHARS = 64 * 1024;
const SHOWN_CHARS = 300;

/** Runs a program of the host to its end; answers what it printed. Rejects with ProviderError, its last line in the message. */
export async function runProgram(
  command: readonly string[],
  options: { cwd?: string; timeoutMs: number; signal: AbortSignal },
): Promise<string> {
  const [program = "", ...rest] = command;
  const result = await execa(program, rest, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    stdin: "ignore",
    timeout: options.timeoutMs,
    cancelSignal: options.signal,
    maxBuffer: MAX_OUTPUT_CHARS,
    reject: false,
  });
  if (!result.failed) return result.stdout;
  if (result.isCanceled || result.timedOut) throw new ProviderError("unavailable", `${program} did not end in time`);
  throw programFault(program, result.stderr || (result.shortMessage ?? ""));
}

/** What a program's complaint means for the template: no memory or disk is a matter of time, all else of its settings. */
export function programFault(program: string, output: string): ProviderError {
  const said = output.trim().replaceAll(/\s+/g, " ").slice(-SHOWN_CHARS);
  const full = /cannot allocate memory|no space left on device|resource temporarily unavailable/i.test(output);
  return new ProviderError(full ? "no_capacity" : "refused", said || `${program} ended without a word`);
}

/** Where a program is, by a path or by PATH; null when it is not there or may not be run. */
export async function findProgram(name: string, baseDir: string): Promise<string | null> {
  const folders = (process.env["PATH"] ?? "").split(":").filter((folder) => folder !== "");
  const candidates = name.includes("/")
    ? [isAbsolute(name) ? name : join(baseDir, name)]
    : folders.map((folder) => join(folder, name));
  for (const candidate of candidates) {
    if (
      await access(candidate, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return candidate;
  }
  return null;
}

/** The tool for disk images that belongs to this QEMU. */
export async function findImageTool(binary: string, baseDir: string): Promise<string | null> {
  return (await findProgram(join(dirname(binary), "qemu-img"), baseDir)) ?? findProgram("qemu-img", baseDir);
}
