import type { BootData } from "./driver.ts";

/** Where a machine's runner finds its settings and its token; its unit names the same two. */
const SETTINGS_FILE = "/etc/shipfox/runner.env";
const TOKEN_FILE = "/etc/shipfox/registration-token";

/** A file of a machine: only its root reads it. */
export interface BootFile {
  /** Absolute, in the machine. */
  readonly path: string;
  readonly content: string;
}

/** The files by which a machine's runner learns who it is: `NAME=value` lines, and beside them the token. */
export function bootFiles({ registrationToken, runnerEnv }: BootData): BootFile[] {
  const settings = { ...runnerEnv, SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE: TOKEN_FILE };
  const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  return [
    { path: SETTINGS_FILE, content: lines.join("") },
    { path: TOKEN_FILE, content: `${registrationToken}\n` },
  ];
}
