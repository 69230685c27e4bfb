import { pino, type Logger } from "pino";
import { standardError } from "./standard-error.ts";

export type { Logger } from "pino";

/** As pino numbers its levels. */
const WARN = 40;

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

/** Bytes of lines that wait for whoever reads them; with more, lines are left out. */
const MAX_WAITING_BYTES = 2 * 1024 * 1024;

/**
 * Structured log of a daemon: JSON lines on standard error, so that standard output stays for results. A reader that stalls
 * costs lines, never the daemon; `dropped` in a line of its own says how many.
 */
export function createLogger(name: string, level: string): Logger {
  let dropped = 0;
  const output = {
    write(line: string): void {
      if (dropped > 0) {
        const told = {
          level: WARN,
          time: Date.now(),
          name,
          dropped,
          msg: "lines of this log were left out: nobody read",
        };
        if (standardError().write(`${JSON.stringify(told)}\n`, MAX_WAITING_BYTES)) dropped = 0;
      }
      if (!standardError().write(line, MAX_WAITING_BYTES)) dropped += 1;
    },
    flushSync: () => standardError().flush(),
  };
  return pino({ name, level, redact: { paths: REDACTED_PATHS, censor: "[redacted]" } }, output);
}
