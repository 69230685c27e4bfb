const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** `850ms`, `4.2s`, `3m 05s`, `2h 07m`; a dash for null. */
export function duration(milliseconds: number | null): string {
  if (milliseconds === null) return "-";
  if (milliseconds < SECOND_MS) return `${Math.round(milliseconds)}ms`;
  if (milliseconds < MINUTE_MS) return `${(Math.floor(milliseconds / 100) / 10).toFixed(1)}s`;
  const [big, bigMs, small, smallMs] =
    milliseconds < HOUR_MS ? (["m", MINUTE_MS, "s", SECOND_MS] as const) : (["h", HOUR_MS, "m", MINUTE_MS] as const);
  const rest = Math.floor((milliseconds % bigMs) / smallMs);
  return `${Math.floor(milliseconds / bigMs)}${big} ${String(rest).padStart(2, "0")}${small}`;
}

/** `12s ago`, `5m ago`, `3h ago`, `8d ago`; a dash for null. */
export function age(timestamp: string | null, now: number = Date.now()): string {
  if (timestamp === null) return "-";
  const elapsed = Math.max(0, now - Date.parse(timestamp));
  if (elapsed < MINUTE_MS) return `${Math.floor(elapsed / SECOND_MS)}s ago`;
  if (elapsed < HOUR_MS) return `${Math.floor(elapsed / MINUTE_MS)}m ago`;
  if (elapsed < DAY_MS) return `${Math.floor(elapsed / HOUR_MS)}h ago`;
  return `${Math.floor(elapsed / DAY_MS)}d ago`;
}

/** `2026-01-31` of a timestamp of the API, which is in UTC. */
export function utcDay(timestamp: string): string {
  return timestamp.slice(0, "2026-01-31".length);
}

/** `2026-01-31 09:00:05` of a timestamp of the API, which is in UTC. */
export function utcTime(timestamp: string): string {
  return timestamp.slice(0, "2026-01-31T09:00:05".length).replace("T", " ");
}
