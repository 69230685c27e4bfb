/**
 * What the full language has and this version does not run yet. A key leaves this table when its rule enters the
 * document schema.
 */
export const UNSUPPORTED_KEYS = {
  workflow: ["run_name"],
  job: [
    "if",
    "success",
    "outputs",
    "listening",
    "execution_name",
    "retry",
    "concurrency",
    "matrix",
    "priority",
    "artifacts",
    "cache",
    "approval",
  ],
  step: ["if", "gate", "outputs", "artifacts", "cache"],
} as const;

/** Step kinds besides `run`, with their article, each with the keys that make a step one of that kind. */
export const UNSUPPORTED_STEP_KINDS = {
  "an agent": ["prompt", "model", "provider", "thinking", "harness", "tools", "integrations", "agent"],
  "a checkout": ["checkout"],
} as const;

export function notYet(what: string): string {
  return `${what} is part of the language, but this version does not support it yet`;
}

/** Messages for an object rule, by key. */
export function refusals(
  keys: readonly string[],
  message = (key: string): string => notYet(`\`${key}\``),
): Record<string, string> {
  return Object.fromEntries(keys.map((key) => [key, message(key)]));
}
