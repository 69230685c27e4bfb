const MAX_SHOWN_CHARS = 80;

export interface AssignmentRules {
  /** The variable that names the file, for messages. */
  file: string;
  maxValueBytes: number;
  /** What is wrong with a key, or null. */
  refuseKey: (key: string) => string | null;
}

export type Assignments = { kind: "values"; values: Map<string, string> } | { kind: "invalid"; message: string };

/**
 * Parses what a step wrote into a file of assignments: lines `key=value`, or `key<<DELIMITER`, lines, and a line that is
 * exactly the delimiter. Blank lines are skipped, CRLF is understood, the last value of a key counts.
 */
export function parseAssignments(content: string, rules: AssignmentRules): Assignments {
  const lines = content.split(/\r?\n/);
  const values = new Map<string, string>();
  const invalid = (index: number, message: string): Assignments => ({
    kind: "invalid",
    message: `${rules.file}, line ${index + 1}: ${message}.`,
  });
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] as string;
    if (line.trim() === "") continue;
    const entry = splitEntry(line);
    if (entry === null) return invalid(index, `expected key=value or key<<DELIMITER, found ${shown(line)}`);
    const refusal = rules.refuseKey(entry.key);
    if (refusal !== null) return invalid(index, refusal);
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
    if (bytes > rules.maxValueBytes) {
      return invalid(
        index,
        `the value of ${shown(entry.key)} has ${bytes} bytes, at most ${rules.maxValueBytes} are allowed`,
      );
    }
    values.set(entry.key, value);
  }
  return { kind: "values", values };
}

/** A piece of a step's text for a message. */
export function shown(text: string): string {
  return JSON.stringify(text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS)}…` : text);
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
