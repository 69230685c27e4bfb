import { setTimeout as pause } from "node:timers/promises";

const LOOK_EVERY_MS = 100;
/** Generous: the machine may be busy with other tests. What is expected comes in a second or a few. */
const DEFAULT_LIMIT_MS = 120_000;

/**
 * Looks until `look` answers something (not null, undefined or false) and answers that. A look that throws counts as
 * nothing yet. Rejects after `limitMs`, naming `what` and the last error.
 */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | null | undefined | false>,
  { limitMs = DEFAULT_LIMIT_MS }: { limitMs?: number } = {},
): Promise<T> {
  const deadline = performance.now() + limitMs;
  let lastError: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== null && found !== undefined && found !== false) return found;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`${what}: not within ${limitMs} ms`, lastError === undefined ? {} : { cause: lastError });
    }
    await pause(LOOK_EVERY_MS);
  }
}
