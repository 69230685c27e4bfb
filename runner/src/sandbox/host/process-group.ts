import { readFile, readdir } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { runnerIsRoot } from "../job-user.ts";
import { SandboxError } from "../sandbox-error.ts";
import type { JobUser } from "../sandbox.ts";
import type { Invocation, Isolation } from "./isolation.ts";

/** In the environment of everything that a job starts, unless it takes care to lose it. */
const MARKER = "SHIPFOX_SANDBOX_ID";
const POLL_MS = 50;
const KILL_DEADLINE_MS = 10_000;

/**
 * Where there are no namespaces: a job's processes are known by a marker in their environment and by descent from one that
 * has it. A process that empties its environment and leaves its parent escapes; `describeIsolation` says so.
 */
export class ProcessGroup implements Isolation {
  readonly isAlive = true;
  readonly #user: JobUser;
  readonly #mark = `${MARKER}=${randomUUID()}`;

  constructor(user: JobUser) {
    this.#user = user;
  }

  invoke(shellArgs: readonly string[]): Invocation {
    const [name = "", value = ""] = this.#mark.split("=");
    return { file: "/bin/sh", args: [...shellArgs], user: runnerIsRoot() ? this.#user : null, env: { [name]: value } };
  }

  async killTree(graceMs: number): Promise<void> {
    const started = performance.now();
    let pids = await this.#members();
    if (graceMs > 0) {
      signalAll(pids, "SIGTERM");
      while (pids.length > 0 && performance.now() - started < graceMs) {
        await pause(POLL_MS);
        pids = await this.#members();
      }
    }
    while (pids.length > 0) {
      if (performance.now() - started > graceMs + KILL_DEADLINE_MS) {
        throw new SandboxError("clean_up_failed", `Processes of a step do not die: ${pids.join(", ")}`);
      }
      signalAll(pids, "SIGKILL");
      await pause(POLL_MS);
      pids = await this.#members();
    }
  }

  async end(): Promise<void> {
    await this.killTree(0);
  }

  async #members(): Promise<number[]> {
    const names = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const processes = (await Promise.all(names.map((name) => this.#look(Number(name))))).filter(
      (found) => found !== null,
    );
    const members = new Set(processes.filter((found) => found.isMarked).map((found) => found.pid));
    for (let grown = true; grown; ) {
      const more = processes.filter((found) => !members.has(found.pid) && members.has(found.parent));
      for (const found of more) members.add(found.pid);
      grown = more.length > 0;
    }
    return [...members];
  }

  /** Null for what is gone, a zombie, or not ours to see. */
  async #look(pid: number): Promise<{ pid: number; parent: number; isMarked: boolean } | null> {
    try {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8");
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state === "Z" || state === "X" || pid === process.pid) return null;
      const environ = await readFile(`/proc/${pid}/environ`, "latin1").catch(() => "");
      return { pid, parent: Number(parent), isMarked: environ.split("\0").includes(this.#mark) };
    } catch {
      return null;
    }
  }
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // Gone since we looked.
    }
  }
}
