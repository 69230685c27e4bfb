import { MAX_CONSOLE_CHARS } from "./driver.ts";

/** Escape sequences of terminals, and what no terminal shows. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const CONTROL = /\u001b(?:\[[0-?]*[ -/]*[@-~]|[@-_])|[\u0000-\u0008\u000b-\u001f\u007f]/g;

/** The last of what a machine printed, at most `MAX_CONSOLE_CHARS`, without control characters; null when it said nothing. */
export function consoleText(printed: Buffer): string | null {
  const text = printed.toString("utf8").replaceAll(CONTROL, "");
  return text === "" ? null : text.slice(-MAX_CONSOLE_CHARS);
}
