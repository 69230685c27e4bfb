// Sequences for a terminal (ECMA-48): commands, strings such as a window's title up to their end, and the short ones. No part
// may run past where another could begin: each character is then looked at a fixed number of times, whatever a host sends.
const SEQUENCES =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|(?:\u001b[PX\]^_]|[\u0090\u0098\u009d-\u009f])[^\u0007\u001b\u0090\u0098\u009c-\u009f]*(?:\u0007|\u001b\\|\u009c)|\u001b[ -/]*[0-~]/g;
// Everything that moves the cursor, rings or talks to the terminal; a tab is harmless.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g;
// Marks that change the order in which text is shown, so that it reads as something else than what it is.
const BIDI_CONTROLS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character opens a colour sequence
const COLOR_SEQUENCE = /(\u001b\[[0-9;:]*m)/;
const RESET = "\u001b[0m";

/** Text of the server without anything a terminal would act upon: names and messages are written by strangers. */
export function plainText(text: string): string {
  return text.replace(SEQUENCES, "").replace(BIDI_CONTROLS, "").replace(CONTROLS, " ");
}

/** One line of a log: colours are kept (and ended) when `colors`, every other sequence is removed. */
export function safeLine(line: string, options: { colors: boolean }): string {
  if (!options.colors) return withoutControls(line);
  const parts = line.split(COLOR_SEQUENCE);
  if (parts.length === 1) return withoutControls(line);
  const kept = parts.map((part, index) => (index % 2 === 1 ? part : withoutControls(part)));
  return `${kept.join("")}${RESET}`;
}

function withoutControls(text: string): string {
  return text.replace(SEQUENCES, "").replace(CONTROLS, "").replace(BIDI_CONTROLS, "");
}
