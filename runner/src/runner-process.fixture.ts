import { spawn } from "node:child_process";
import { join } from "node:path";
import { CODE_CACHE } from "@shipfox/shared/code-cache.fixture";

const MAX_WAIT_MS = 30_000;

/** A real `shipfox-runner` of these sources, with nothing in its environment but PATH and `env`. */
export function startRunnerProcess(args: readonly string[], env: Record<string, string>) {
  const child = spawn(process.execPath, [join(import.meta.dirname, "main.ts"), ...args], {
    env: { PATH: process.env["PATH"] ?? "", ...CODE_CACHE, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: "", stderr: "" };
  const waiting = new Set<() => void>();
  const collect = (name: "stdout" | "stderr") => (chunk: Buffer) => {
    output[name] += chunk;
    for (const look of waiting) look();
  };
  child.stdout.on("data", collect("stdout"));
  child.stderr.on("data", collect("stderr"));
  const exit = new Promise<number | null>((resolve) => child.on("close", resolve));
  /** Resolves with the first match in what it printed on either stream. */
  const printed = (pattern: RegExp) =>
    new Promise<RegExpExecArray>((resolve, reject) => {
      const end = (settle: () => void) => {
        clearTimeout(timer);
        waiting.delete(look);
        settle();
      };
      const everything = () => output.stdout + output.stderr;
      const look = () => {
        const match = pattern.exec(everything());
        if (match) end(() => resolve(match));
      };
      const timer = setTimeout(() => end(() => reject(new Error(`no ${pattern} in:\n${everything()}`))), MAX_WAIT_MS);
      waiting.add(look);
      look();
    });
  return { child, output, exit, printed };
}
