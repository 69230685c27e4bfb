import { parseDuration } from "@shipfox/shared/durations";
import { InvalidArgumentError } from "commander";

const SECOND_MS = 1_000;

/** A life time as `90s`, `15m`, `24h` or `30d`, in seconds; for an option of a command. */
export function parseTtl(text: string): number {
  const milliseconds = parseDuration(text);
  if (milliseconds !== null && milliseconds >= SECOND_MS) return Math.floor(milliseconds / SECOND_MS);
  throw new InvalidArgumentError("Expected a duration such as 90s, 15m, 24h or 30d.");
}
