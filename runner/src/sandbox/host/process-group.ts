import { setTimeout as pause } from "node:timers/promises";
import { runnerIsRoot } from "../job-user.ts";
import type { Lifeline, Lifelines } from "../lifelines.ts";
import { SandboxError } from "../sandbox-error.ts";
import type { JobUser } from "../sandbox.ts";
import type { Invocation, Isolation } from "./isolation.ts";
import { findMarked, newMark, processState, signalAll } from "./marked-processes.ts";

const POLL_MS = 50;
const KILL_DEADLINE_MS = 10_000;
/** Stopped, or dead but not yet reaped. */
const STANDING: ReadonlySet<string> = new Set(["T", "t", "Z", "X"]);

/**
 * Where there are no namespaces: a job's processes are known by a marker in their environment and by descent from one that
 * has it. A process that empties its environment and leaves its parent escapes; `describeIsolation` says so.
 */
export class ProcessGroup implements Isolation {
  readonly isAlive = true;
  readonly #user: JobUser;
  readonly #mark: string;
  readonly #lifeline: Lifeline;

  private constructor(user: JobUser, mark: string, lifeline: Lifeline) {
    this.#user = user;
    this.#mark = mark;
    this.#lifeline = lifeline;
  }

  static async make(user: JobUser, lifelines: Lifelines, runnerId: string): Promise<ProcessGroup> {
    const mark = newMark(runnerId);
    return new ProcessGroup(user, mark, await lifelines.holdProcesses(mark));
  }

  invoke(shellArgs: readonly string[]): Invocation {
    const [name = "", value = ""] = this.#mark.split("=");
    return { file: "/bin/sh", args: [...shellArgs], user: runnerIsRoot() ? this.#user : null, env: { [name]: value } };
  }

  async killTree(graceMs: number): Promise<void> {
    const started = performance.now();
    let pids = await findMarked(this.#mark);
    if (graceMs > 0) {
      signalAll(pids, "SIGTERM");
      while (pids.length > 0 && performance.now() - started < graceMs) {
        await pause(POLL_MS);
        pids = await findMarked(this.#mark);
      }
    }
    while (pids.length > 0) {
      if (performance.now() - started > graceMs + KILL_DEADLINE_MS) {
        throw new SandboxError("clean_up_failed", `Processes of a step do not die: ${pids.join(", ")}`);
      }
      signalAll(pids, "SIGKILL");
      await pause(POLL_MS);
      pids = await findMarked(this.#mark);
    }
  }

  /** Again until none moves: one may have started others while we looked. */
  async pause(): Promise<void> {
    const started = performance.now();
    for (;;) {
      const pids = await findMarked(this.#mark);
      signalAll(pids, "SIGSTOP");
      const states = await Promise.all(pids.map(processState));
      if (states.every((state) => state === null || STANDING.has(state))) return;
      if (performance.now() - started > KILL_DEADLINE_MS) {
        throw new SandboxError("start_failed", `Processes of a job do not stand still: ${pids.join(", ")}`);
      }
      await pause(POLL_MS);
    }
  }

  async resume(): Promise<void> {
    signalAll(await findMarked(this.#mark), "SIGCONT");
  }

  async end(): Promise<void> {
    await this.killTree(0);
    this.#lifeline.release();
  }
}
