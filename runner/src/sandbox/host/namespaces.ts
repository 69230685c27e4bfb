import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { access, constants, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import { runnerIsRoot } from "../job-user.ts";
import type { Lifeline, Lifelines } from "../lifelines.ts";
import { SandboxError } from "../sandbox-error.ts";
import type { JobUser } from "../sandbox.ts";
import { killTreeText } from "../shell-text.ts";
import type { Invocation, Isolation } from "./isolation.ts";
import { newMark } from "./marked-processes.ts";

/** Absolute paths, looked up once in the runner's own PATH: a step's PATH must not choose what runs as the runner. */
export interface NamespacePrograms {
  unshare: string;
  nsenter: string;
  setpriv: string;
}

export interface NamespaceOptions {
  programs: NamespacePrograms;
  user: JobUser;
  lifelines: Lifelines;
  /** The runner's own. */
  folder: string;
  runnerId: string;
}

const START_TIMEOUT_MS = 10_000;
const KILL_DEADLINE_MS = 10_000;
const END_BY_ITSELF_MS = 2000;

const MAKE_PIPE_MS = 10_000;
const SIGNAL_MS = 10_000;

/**
 * The first process of the namespace: opens its lifeline, says that it is there, then reads to the end. A bash reaps orphans
 * meanwhile.
 */
const KEEPER = 'exec <"$0"; printf ready; while read -r _; do :; done';

export async function findPrograms(): Promise<NamespacePrograms | null> {
  const [unshare, nsenter, setpriv] = await Promise.all([find("unshare"), find("nsenter"), find("setpriv")]);
  return unshare && nsenter && setpriv ? { unshare, nsenter, setpriv } : null;
}

/**
 * PID, IPC and mount namespaces for one job, held by a keeper process that ends with its lifeline: the kernel then kills
 * everything in them. A runner that is not root makes them inside a user namespace that maps only itself.
 */
export class Namespaces implements Isolation {
  readonly #programs: NamespacePrograms;
  readonly #user: JobUser;
  readonly #keeper: ChildProcess;
  readonly #lifeline: Lifeline;
  readonly #gone: Promise<unknown>;
  #isAlive = true;

  private constructor(programs: NamespacePrograms, user: JobUser, keeper: ChildProcess, lifeline: Lifeline) {
    this.#lifeline = lifeline;
    this.#programs = programs;
    this.#user = user;
    this.#keeper = keeper;
    this.#gone = once(keeper, "exit").then(() => {
      this.#isAlive = false;
    });
  }

  /** Rejects with `start_failed` where the kernel does not let us. */
  static async make({ programs, user, lifelines, folder, runnerId }: NamespaceOptions): Promise<Namespaces> {
    const pipe = join(folder, `.lifeline-${randomBytes(6).toString("hex")}`);
    try {
      await execa("mkfifo", ["-m", "600", "--", pipe], { timeout: MAKE_PIPE_MS, stdin: "ignore" });
      return await Namespaces.#start(programs, user, await lifelines.holdPipe(pipe), {
        pipe,
        mark: newMark(runnerId),
      });
    } finally {
      await rm(pipe, { force: true });
    }
  }

  static async #start(
    programs: NamespacePrograms,
    user: JobUser,
    lifeline: Lifeline,
    { pipe, mark }: { pipe: string; mark: string },
  ): Promise<Namespaces> {
    const own = runnerIsRoot() ? [] : ["--user", "--map-current-user"];
    const shell = (await find("bash")) ?? "/bin/sh";
    const args = [
      ...own,
      "--pid",
      "--ipc",
      "--mount",
      "--mount-proc",
      "--fork",
      "--kill-child",
      "--",
      shell,
      "-c",
      KEEPER,
      pipe,
    ];
    const keeper = spawn(programs.unshare, args, {
      stdio: ["ignore", "pipe", "pipe"],
      // Seen by the runner's next start; whoever is led in later does not inherit it.
      env: Object.fromEntries([mark.split("=")]),
      cwd: "/",
      detached: true,
    });
    const namespaces = new Namespaces(programs, user, keeper, lifeline);
    try {
      await becameReady(keeper);
      return namespaces;
    } catch (error) {
      await namespaces.end();
      throw error;
    }
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  invoke(shellArgs: readonly string[]): Invocation {
    const enter = this.#enter();
    const { uid, gid } = this.#user;
    const become = runnerIsRoot()
      ? ["--reuid", `${uid}`, "--regid", `${gid}`, "--clear-groups", "--bounding-set=-all"]
      : [];
    const drop = [...become, "--inh-caps=-all", "--no-new-privs"];
    const { nsenter, setpriv } = this.#programs;
    return {
      file: setpriv,
      // What leads in from outside dies with the runner also while it stands still.
      args: ["--pdeathsig", "KILL", "--", nsenter, ...enter, "--", setpriv, ...drop, "--", "/bin/sh", ...shellArgs],
      user: null,
      env: {},
    };
  }

  async killTree(graceMs: number): Promise<void> {
    const fault = await this.#runInside(killTreeText(graceMs), graceMs + KILL_DEADLINE_MS);
    if (fault !== null) {
      throw new SandboxError("clean_up_failed", `A step's processes cannot be proved dead: ${fault}`);
    }
  }

  /** One system call reaches every process of the user but the caller, so that none can start another meanwhile. */
  async pause(): Promise<void> {
    const fault = await this.#signalAll("STOP");
    if (fault !== null)
      throw new SandboxError("start_failed", `A job's processes cannot be made to stand still: ${fault}`);
  }

  async resume(): Promise<void> {
    const fault = await this.#signalAll("CONT");
    if (fault !== null) throw new SandboxError("start_failed", `A job's processes cannot go on: ${fault}`);
  }

  async end(): Promise<void> {
    this.#lifeline.release();
    if (this.#keeper.pid === undefined) return;
    // The end of its input ends the first process, and with it the kernel kills all others; `unshare` waits for that. Killed
    // itself, it takes the first process along (`--kill-child`), but is gone before the rest.
    const timer = setTimeout(() => this.#keeper.kill("SIGKILL"), END_BY_ITSELF_MS);
    await this.#gone;
    clearTimeout(timer);
  }

  /** As the runner, who reaches also a step on its way in, which is not the steps' user yet. That there is nobody is well. */
  async #signalAll(signal: "STOP" | "CONT"): Promise<string | null> {
    return await this.#run(this.#programs.nsenter, [
      ...this.#enter(),
      "--",
      "/bin/sh",
      "-c",
      `kill -${signal} -1 2>/dev/null; exit 0`,
    ]);
  }

  /** As the steps' user. Null when the text ended well, else what went wrong. */
  async #runInside(text: string, timeoutMs: number): Promise<string | null> {
    const { file, args } = this.invoke(["-c", text]);
    return await this.#run(file, args, timeoutMs);
  }

  async #run(file: string, args: string[], timeoutMs = SIGNAL_MS): Promise<string | null> {
    const result = await execa(file, args, {
      timeout: timeoutMs,
      reject: false,
      stdin: "ignore",
      cwd: "/",
      extendEnv: false,
      env: { PATH: "/usr/bin:/bin" },
    });
    return result.exitCode === 0 ? null : (result.shortMessage ?? result.stderr);
  }

  #enter(): string[] {
    const folder = `/proc/${this.#keeper.pid}/ns`;
    const own = runnerIsRoot() ? [] : [`--user=${folder}/user`, "--preserve-credentials"];
    return [...own, `--pid=${folder}/pid_for_children`, `--ipc=${folder}/ipc`, `--mount=${folder}/mnt`];
  }
}

async function becameReady(keeper: ChildProcess): Promise<void> {
  let complaint = "";
  keeper.stderr?.on("data", (data: Buffer) => {
    complaint += data.toString("utf8");
  });
  const ready = once(keeper.stdout as NodeJS.ReadableStream, "data", { signal: AbortSignal.timeout(START_TIMEOUT_MS) });
  const ended = once(keeper, "close").then(() => {
    throw new Error(complaint.trim() || "unshare ended at once");
  });
  ended.catch(() => {});
  try {
    await Promise.race([ready, ended]);
  } catch (error) {
    const detail = (error as Error).message;
    throw new SandboxError("start_failed", `Cannot make namespaces for a job: ${detail}`, { cause: error });
  }
}

async function find(program: string): Promise<string | null> {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin", "/bin", "/usr/sbin", "/sbin"];
  for (const folder of folders.filter((name) => name.startsWith("/"))) {
    const path = join(folder, program);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return null;
}
