/** Source of the limits and the format: the published runner behaviour for SHIPFOX_OUTPUT. */
export const MAX_OUTPUT_FILE_BYTES = 256 * 1024;
export const MAX_OUTPUT_VALUE_BYTES = 64 * 1024;
const KEY_PATTERN = /^[A-Za-z_][A-Za-z0-9_-]*$/;
const MAX_SHOWN_CHARS = 80;

export type ParsedOutputs = { kind: "outputs"; outputs: Record<string, string> } | { kind: "invalid"; message: string };

/**
 * Parses what a step wrote to SHIPFOX_OUTPUT: lines `key=value`, or `key<<DELIMITER`, lines, and a line that is exactly
 * the delimiter. Blank lines are skipped, CRLF is understood, the last value of a key counts.
 */
export function parseOutputs(content: string): ParsedOutputs {
  const lines = content.split(/\r?\n/);
  const outputs = new Map<string, string>();
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] as string;
    if (line.trim() === "") continue;
    const entry = splitEntry(line);
    if (entry === null) return invalid(index, `expected key=value or key<<DELIMITER, found ${shown(line)}`);
    if (!KEY_PATTERN.test(entry.key)) {
      return invalid(
        index,
        `${shown(entry.key)} is not a key: it starts with a letter or "_" and goes on with letters, digits, "_" or "-"`,
      );
    }
    let value = entry.rest;
    if (entry.isBlock) {
      const delimiter = entry.rest;
      if (delimiter === "") return invalid(index, `the delimiter after "${entry.key}<<" is missing`);
      const end = lines.indexOf(delimiter, index + 1);
      if (end === -1)
        return invalid(index, `the end ${shown(delimiter)} of the value of ${shown(entry.key)} is missing`);
      value = lines.slice(index + 1, end).join("\n");
      index = end;
    }
    const bytes = Buffer.byteLength(value);
    if (bytes > MAX_OUTPUT_VALUE_BYTES) {
      return invalid(
        index,
        `the value of ${shown(entry.key)} has ${bytes} bytes, at most ${MAX_OUTPUT_VALUE_BYTES} are allowed`,
      );
    }
    outputs.set(entry.key, value);
  }
  return { kind: "outputs", outputs: Object.fromEntries(outputs) };
}

/** `=` or `<<`, whichever comes first: a value may hold the other. */
function splitEntry(line: string): { key: string; rest: string; isBlock: boolean } | null {
  const equals = line.indexOf("=");
  const block = line.indexOf("<<");
  if (block !== -1 && (equals === -1 || block < equals))
    return { key: line.slice(0, block), rest: line.slice(block + 2), isBlock: true };
  if (equals === -1) return null;
  return { key: line.slice(0, equals), rest: line.slice(equals + 1), isBlock: false };
}

function invalid(index: number, message: string): ParsedOutputs {
  return { kind: "invalid", message: `SHIPFOX_OUTPUT, line ${index + 1}: ${message}.` };
}

function shown(text: string): string {
  return JSON.stringify(text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text);
}
