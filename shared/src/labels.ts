/** Source of the rules: the published API ("runner label"): case-insensitive on input, stored lower-case. */
export const LABEL_PATTERN = /^[a-z0-9][a-z0-9._-]*$/;
export const MAX_LABEL_LENGTH = 128;
export const MAX_LABELS = 20;

/** Canonical form of a label set: trimmed, lower-cased, without empties and duplicates, sorted by code unit. */
export function canonicalLabels(labels: readonly string[]): string[] {
  const unique = new Set(labels.map((label) => label.trim().toLowerCase()).filter((label) => label !== ""));
  return [...unique].sort();
}

/** True when `label`, already canonical, may be stored. */
export function isLabel(label: string): boolean {
  return label.length <= MAX_LABEL_LENGTH && LABEL_PATTERN.test(label);
}

/** True when a runner that has `offered` may run a job that asks for `required`: all of them, nothing less. */
export function labelsSatisfy(offered: ReadonlySet<string>, required: readonly string[]): boolean {
  return required.every((label) => offered.has(label));
}
