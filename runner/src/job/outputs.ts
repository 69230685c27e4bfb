import { type Mask, parseAssignments, shown } from "./assignments.ts";

/** Source of the limits and the format: the published runner behaviour for SHIPFOX_OUTPUT. */
export const MAX_OUTPUT_FILE_BYTES = 256 * 1024;
export const MAX_OUTPUT_VALUE_BYTES = 64 * 1024;
const KEY_PATTERN = /^[A-Za-z_][A-Za-z0-9_-]*$/;

export type ParsedOutputs = { kind: "outputs"; outputs: Record<string, string> } | { kind: "invalid"; message: string };

/** Parses what a step wrote to SHIPFOX_OUTPUT, without the secrets in it. */
export function parseOutputs(content: string, masker: Mask): ParsedOutputs {
  const parsed = parseAssignments(masker.mask(content), {
    file: "SHIPFOX_OUTPUT",
    maxValueBytes: MAX_OUTPUT_VALUE_BYTES,
    masker,
    refuseKey: (key) =>
      KEY_PATTERN.test(key)
        ? null
        : `${shown(key, masker)} is not a key: it starts with a letter or "_" and goes on with letters, digits, "_" or "-"`,
  });
  return parsed.kind === "invalid" ? parsed : { kind: "outputs", outputs: Object.fromEntries(parsed.values) };
}
