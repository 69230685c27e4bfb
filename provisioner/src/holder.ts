import { createHash, randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

const ID_CHARS = 32;

export interface Holder {
  readonly id: string;
  readonly host: string;
}

/** One that nobody else is, for a command that speaks once. */
export function newHolder(): Holder {
  return { id: randomUUID(), host: hostname().replaceAll(/[^\x21-\x7e]/g, "-") || "host" };
}

/**
 * The daemon of a state folder whose lock this process has. It stays the same when it was killed: what it held is its own, and it need
 * not wait for itself. A copy of the folder on another host is another daemon.
 */
export function holderOf(stateDir: string): Holder {
  const { id: fresh, host } = newHolder();
  const secret = readOrWrite(join(stateDir, "holder"), fresh);
  return { id: createHash("sha256").update(`${secret} ${host}`).digest("hex").slice(0, ID_CHARS), host };
}

function readOrWrite(file: string, fresh: string): string {
  try {
    const known = readFileSync(file, "utf8").trim();
    if (known !== "") return known;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
  writeFileSync(file, `${fresh}\n`, { mode: 0o600 });
  return fresh;
}
