import { destination, pino, type Logger } from "pino";

export type { Logger } from "pino";

/** Paths of anything that could hold a credential; pino replaces them before a line is written. */
const REDACTED_PATHS = [
  "authorization",
  "*.authorization",
  "headers.authorization",
  "req.headers.authorization",
  "headers.cookie",
  "req.headers.cookie",
  "password",
  "*.password",
  "token",
  "*.token",
  "raw_token",
  "*.raw_token",
  "lease_token",
  "*.lease_token",
  "session_token",
  "*.session_token",
  "runner_token",
  "*.runner_token",
];

/** Structured log of a daemon: JSON lines on standard error, so that standard output stays for results. */
export function createLogger(name: string, level: string): Logger {
  return pino(
    { name, level, redact: { paths: REDACTED_PATHS, censor: "[redacted]" } },
    destination({ fd: 2, sync: true }),
  );
}
