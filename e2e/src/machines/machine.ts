import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { bareEnvironment } from "../child.ts";
import { killIfThere, processesBelow } from "../processes.ts";
import { RUNNER } from "../programs.ts";

interface MachineTags {
  readonly controller: string;
  readonly pool: string;
  readonly instance: string;
}

/** What the `command` driver asks of a provider when it wants a machine. */
export interface MachineOrder {
  readonly name: string;
  readonly tags: MachineTags;
  readonly template_key: string;
  readonly registration_token: string;
  readonly runner_env: Readonly<Record<string, string>>;
}

/** `runner`: as it should; `hangs`: up, but its runner never starts; `dies`: its runner ends at once. */
export type Boot = "runner" | "hangs" | "dies";

const JOB_UID = "10001";
const CONSOLE_TAIL_CHARS = 16_384;
const COMMANDS: Readonly<Record<Boot, readonly string[]>> = {
  runner: [RUNNER],
  hangs: ["/bin/sh", "-c", "echo 'the network did not come up'; exec sleep 86400"],
  dies: ["/bin/sh", "-c", "echo 'panic: no init found'; exit 1"],
};

/** A machine of the tests: a folder and the processes in it, of which the first is a real runner. */
export class Machine {
  readonly providerId: string;
  readonly order: MachineOrder;
  readonly folder: string;
  /** Whether a step of a job ran in it when the provider was told to delete it. */
  wasBusyWhenDeleted = false;
  /** When the provider did what it was told and deleted it; wall time in milliseconds, as the next. */
  deletedAt: number | null = null;
  /** When the test took its runner, or all of it, away. */
  lostAt: number | null = null;
  #process: ChildProcess | null = null;
  #start: Promise<void> = Promise.resolve();

  constructor(providerId: string, order: MachineOrder, folder: string) {
    this.providerId = providerId;
    this.order = order;
    this.folder = folder;
  }

  get isRunning(): boolean {
    return this.#process !== null && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** As a provider shows it. */
  get state(): "starting" | "running" | "stopped" {
    if (this.#process === null) return "starting";
    return this.isRunning ? "running" : "stopped";
  }

  boot(boot: Boot): Promise<void> {
    this.#start = this.#begin(boot);
    return this.#start;
  }

  async #begin(boot: Boot): Promise<void> {
    await mkdir(this.folder, { recursive: true, mode: 0o711 });
    const tokenFile = join(this.folder, "token");
    await writeFile(tokenFile, this.order.registration_token, { mode: 0o600 });
    const [command = "", ...args] = COMMANDS[boot];
    const console = createWriteStream(join(this.folder, "console"));
    this.#process = spawn(command, args, {
      env: bareEnvironment({
        SHIPFOX_RUNNER_CANCEL_GRACE_MS: "500",
        SHIPFOX_GIT_ALLOW_FILE: "true",
        ...this.order.runner_env,
        SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE: tokenFile,
        SHIPFOX_RUNNER_STATE_DIR: join(this.folder, "state"),
      }),
      cwd: this.folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) stream?.pipe(console, { end: false });
  }

  async console(): Promise<string> {
    const text = await readFile(join(this.folder, "console"), "utf8").catch(() => "");
    return text.slice(-CONSOLE_TAIL_CHARS);
  }

  /** Whether a step of a job runs in it now. */
  async isBusy(): Promise<boolean> {
    for (const pid of await processesBelow(this.folder)) {
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
      if (new RegExp(`^Uid:\\s+${JOB_UID}\\b`, "m").test(status)) return true;
    }
    return false;
  }

  /** Kills its runner, whatever that does. The machine itself stays: it is over. */
  async kill9(): Promise<void> {
    this.lostAt ??= Date.now();
    if (this.isRunning) await this.#endFirst();
  }

  /** Resolves when all that was in it is dead. */
  async unplug(): Promise<void> {
    // Else it would begin after its end.
    await this.#start;
    if (this.isRunning) await this.#endFirst();
    for (;;) {
      const pids = await processesBelow(this.folder);
      if (pids.length === 0) return;
      for (const pid of pids) killIfThere(pid, "SIGKILL");
    }
  }

  async #endFirst(): Promise<void> {
    if (!this.#process) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
  }

  async remove(): Promise<void> {
    await this.unplug();
    await rm(this.folder, { recursive: true, force: true });
  }
}
