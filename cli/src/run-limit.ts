import { limit } from "@shipfox/shared/api/usage";
import { InvalidArgumentError } from "commander";

/** What gives a setting back to where it came from: the workspace's limit to the server, the server's to how it was started. */
export const DEFAULT = "default";

export type RunLimit = number | typeof DEFAULT;

/** Runs that may be going at once, for an option of a command. */
export function parseRunLimit(text: string): RunLimit {
  if (text === DEFAULT) return DEFAULT;
  const count = limit.safeParse(/^\d+$/.test(text) ? Number(text) : undefined);
  if (count.success) return count.data;
  throw new InvalidArgumentError(`Expected a whole number up to ${limit.maxValue}, 0 for any number, or ${DEFAULT}.`);
}

export function runLimitWords(count: number): string {
  return count === 0 ? "any number" : String(count);
}
