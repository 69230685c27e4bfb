import type { Masker } from "../logs/masking.ts";

const MAX_SHOWN_CHARS = 80;

/** Hides the secrets of the job. */
export type Mask = Pick<Masker, "mask">;

export interface AssignmentRules {
  /** The variable that names the file, for messages. */
  file: string;
  maxValueBytes: number;
  masker: Mask;
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
    if (entry === null)
      return invalid(index, `expected key=value or key<<DELIMITER, found ${shown(line, rules.masker)}`);
    const refusal = rules.refuseKey(entry.key);
    if (refusal !== null) return invalid(index, refusal);
    let value = entry.rest;
    if (entry.isBlock) {
      const delimiter = entry.rest;
      if (delimiter === "")
        return invalid(index, `the delimiter after ${shown(`${entry.key}<<`, rules.masker)} is missing`);
      const end = lines.indexOf(delimiter, index + 1);
      if (end === -1)
        return invalid(
          index,
          `the end ${shown(delimiter, rules.masker)} of the value of ${shown(entry.key, rules.masker)} is missing`,
        );
      value = lines.slice(index + 1, end).join("\n");
      index = end;
    }
    const bytes = Buffer.byteLength(value);
    if (bytes > rules.maxValueBytes) {
      return invalid(
        index,
        `the value of ${shown(entry.key, rules.masker)} has ${bytes} bytes, at most ${rules.maxValueBytes} are allowed`,
      );
    }
    values.set(entry.key, value);
  }
  return { kind: "values", values };
}

/** A piece of a step's text for a message. Masked before it is cut: half a secret is no longer found. */
export function shown(text: string, masker: Mask): string {
  const masked = masker.mask(text);
  return JSON.stringify(masked.length > MAX_SHOWN_CHARS ? `${masked.slice(0, MAX_SHOWN_CHARS)}…` : masked);
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
