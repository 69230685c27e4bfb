import { stripVTControlCharacters } from "node:util";

// Everything that moves the cursor, rings or talks to the terminal; a tab is harmless.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character opens a colour sequence
const COLOR_SEQUENCE = /(\u001b\[[0-9;:]*m)/;
const RESET = "\u001b[0m";

/** Text of the server without anything a terminal would act upon: names and messages are written by strangers. */
export function plainText(text: string): string {
  return stripVTControlCharacters(text).replace(CONTROLS, " ");
}

/** One line of a log: colours are kept (and ended) when `colors`, every other sequence is removed. */
export function safeLine(line: string, options: { colors: boolean }): string {
  if (!options.colors) return stripVTControlCharacters(line).replace(CONTROLS, "");
  const parts = line.split(COLOR_SEQUENCE);
  if (parts.length === 1) return stripVTControlCharacters(line).replace(CONTROLS, "");
  const kept = parts.map((part, index) =>
    index % 2 === 1 ? part : stripVTControlCharacters(part).replace(CONTROLS, ""),
  );
  return `${kept.join("")}${RESET}`;
}
