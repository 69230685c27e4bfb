import { readFileSync, writeFileSync } from "node:fs";
import { identityOf, isAlive, pidOf } from "./process-identity.ts";

/** Makes this process the one that has the lock file; one of a dead process is taken over. Answers the pid of another that has it. */
export function takeLock(file: string): number | null {
  const own = identityOf(process.pid) ?? `${process.pid}`;
  try {
    writeFileSync(file, own, { flag: "wx", mode: 0o600 });
    return null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const holder = readHolder(file);
  if (holder !== own && isAlive(holder)) return pidOf(holder);
  writeFileSync(file, own, { mode: 0o600 });
  return null;
}

/** Empty when it was given back just now. */
function readHolder(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
