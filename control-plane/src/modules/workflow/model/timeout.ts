import { formatDuration, parseDuration } from "@shipfox/shared/durations";
import type { DiagnosticLog } from "../diagnostics.ts";
import { MAX_TIMEOUT_MS, MIN_TIMEOUT_MS } from "../limits.ts";
import { shorten } from "../shorten.ts";
import type { Path } from "../yaml/source-map.ts";

/** Milliseconds of the timeout written at `path`; null when none is written or the text was refused. */
export function readTimeout(text: string | undefined, path: Path, log: DiagnosticLog): number | null {
  if (text === undefined) return null;
  const milliseconds = parseDuration(text);
  if (milliseconds === null) {
    const expected = "a whole number with a unit, ms, s, m, h or d, such as `90s` or `15m`";
    log.add({ code: "invalid-duration", message: `"${shorten(text)}" is not a duration; expected ${expected}`, path });
    return null;
  }
  if (milliseconds < MIN_TIMEOUT_MS || milliseconds > MAX_TIMEOUT_MS) {
    const range = `from ${formatDuration(MIN_TIMEOUT_MS)} to ${formatDuration(MAX_TIMEOUT_MS)}`;
    log.add({ code: "invalid-duration", message: `"${shorten(text)}" is out of range; a timeout is ${range}`, path });
    return null;
  }
  return milliseconds;
}
