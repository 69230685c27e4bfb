import { formatDuration, parseDuration } from "@shipfox/shared/durations";
import type { DiagnosticCode, DiagnosticLog } from "../diagnostics.ts";
import { MAX_TIMEOUT_MS, MIN_TIMEOUT_MS } from "../limits.ts";
import { shorten } from "../shorten.ts";
import type { Path } from "../yaml/source-map.ts";

const TIMEOUT_RANGE = { minMs: MIN_TIMEOUT_MS, maxMs: MAX_TIMEOUT_MS };

/** Milliseconds of the timeout written at `path`; null when none is written or the text was refused. */
export function readTimeout(
  text: string | undefined,
  path: Path,
  log: DiagnosticLog,
  { minMs, maxMs, tooLong = "invalid-duration" }: DurationRange = TIMEOUT_RANGE,
): number | null {
  if (text === undefined) return null;
  const milliseconds = parseDuration(text);
  if (milliseconds === null) {
    const expected = "a whole number with a unit, ms, s, m, h or d, such as `90s` or `15m`";
    log.add({ code: "invalid-duration", message: `"${shorten(text)}" is not a duration; expected ${expected}`, path });
    return null;
  }
  if (milliseconds < minMs || milliseconds > maxMs) {
    const range = `from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`;
    const code = milliseconds > maxMs ? tooLong : "invalid-duration";
    log.add({ code, message: `"${shorten(text)}" is out of range; a timeout is ${range}`, path });
    return null;
  }
  return milliseconds;
}

interface DurationRange {
  minMs: number;
  maxMs: number;
  /** The code for what is over the range. */
  tooLong?: DiagnosticCode;
}
