import { readFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem } from "node:os";
import { VERSION } from "@shipfox/shared/version";
import Database from "better-sqlite3";
import Docker from "dockerode";

const GIB = 1024 ** 3;
const NO_DOCKER = "not asked";

export interface Machine {
  readonly processor: string;
  readonly system: string;
  readonly versions: string;
}

/** What the figures depend on beside our code. */
export async function describeMachine(withDocker: boolean): Promise<Machine> {
  const processors = cpus();
  const gib = Math.round(totalmem() / GIB);
  return {
    processor: `${processors.length} × ${processors[0]?.model.trim() ?? "unknown processor"}, ${gib} GiB`,
    system: `${distribution()}, kernel ${release()}`,
    versions: [
      `Shipfox ${VERSION}`,
      `Node ${process.versions.node}`,
      `SQLite ${sqliteVersion()}`,
      `Docker Engine ${withDocker ? await engineVersion() : NO_DOCKER}`,
    ].join(", "),
  };
}

/** Load averages over 1, 5 and 15 minutes. */
export function loadAverages(): string {
  return loadavg()
    .map((load) => load.toFixed(1))
    .join(" ");
}

function distribution(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1] ?? process.platform;
  } catch {
    return process.platform;
  }
}

function sqliteVersion(): string {
  const database = new Database(":memory:");
  try {
    return database.prepare<[], string>("select sqlite_version()").pluck().get() ?? "unknown";
  } finally {
    database.close();
  }
}

async function engineVersion(): Promise<string> {
  const { Version } = await new Docker().version();
  return Version;
}
