import { interrupted } from "./cli-error.ts";
import type { Terminal } from "./terminal.ts";

const MAX_SECRET_BYTES = 64 * 1024;

/** Asks on stderr, so that stdout stays clean. Throws `interrupted` on Ctrl-C. Only for an interactive terminal. */
export async function askText(terminal: Terminal, message: string, initialValue?: string): Promise<string> {
  const clack = await import("@clack/prompts");
  const validate = (value: string | undefined) => (value?.trim() ? undefined : "Please type something.");
  const answer = await clack.text({ message, initialValue, validate, ...streams(terminal) });
  if (clack.isCancel(answer)) throw interrupted("Nothing was changed.");
  return answer.trim();
}

/** Without echo. */
export async function askSecret(terminal: Terminal, message: string): Promise<string> {
  const clack = await import("@clack/prompts");
  const validate = (value: string | undefined) => (value ? undefined : "Please type something.");
  const answer = await clack.password({ message, validate, ...streams(terminal) });
  if (clack.isCancel(answer)) throw interrupted("Nothing was changed.");
  return answer;
}

/** `initialValue` is what Return answers. */
export async function askYes(
  terminal: Terminal,
  message: string,
  { initialValue = true }: { initialValue?: boolean } = {},
): Promise<boolean> {
  const clack = await import("@clack/prompts");
  const answer = await clack.confirm({ message, initialValue, ...streams(terminal) });
  if (clack.isCancel(answer)) throw interrupted("Nothing was changed.");
  return answer;
}

function streams(terminal: Terminal) {
  return { input: terminal.stdin, output: terminal.stderr };
}

/** All of stdin without the line end, for secrets that must not stand in argv. At most 64 KiB are read. */
export async function readSecretFromStdin(terminal: Terminal): Promise<string> {
  return (await readStdin(terminal, MAX_SECRET_BYTES)).toString("utf8").replace(/\r?\n$/, "");
}

/** All of stdin; stops reading when it is more than `limit` bytes. */
export async function readStdin(terminal: Terminal, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of terminal.stdin) {
    chunks.push(Buffer.from(chunk));
    size += chunks.at(-1)?.length ?? 0;
    if (size > limit) break;
  }
  return Buffer.concat(chunks);
}
