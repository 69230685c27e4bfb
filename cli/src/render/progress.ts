import type { Terminal } from "../terminal.ts";

/** Runs `work` with a spinner on stderr when a person is watching; otherwise only runs it. */
export async function withProgress<Result>(
  terminal: Terminal,
  message: string,
  work: () => Promise<Result>,
): Promise<Result> {
  if (!terminal.stderr.isTTY || !terminal.stderr.columns) return await work();
  const { spinner } = await import("@clack/prompts");
  const running = spinner({ output: terminal.stderr, withGuide: false });
  running.start(message);
  try {
    return await work();
  } finally {
    running.clear();
  }
}
