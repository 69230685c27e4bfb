import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, chown, copyFile, mkdir, mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { exitCodeOf, signalOf } from "../exit-code.ts";
import { runnerIsRoot } from "../job-user.ts";
import { caEnv } from "../operator-env.ts";
import { measureFolder } from "../measure-folder.ts";
import { pumpOutput } from "../pump-output.ts";
import { changeOwner, removeTree } from "../remove-tree.ts";
import { SandboxError, hostFault } from "../sandbox-error.ts";
import type { ExecResult, JobUser, Sandbox, StepExec, StepFile } from "../sandbox.ts";
import { launchText } from "../shell-text.ts";
import { StepFolder } from "../step-folder.ts";
import { StopOnce } from "../stop-once.ts";
import { Suspension } from "../suspension.ts";
import type { HostSettings } from "./host-options.ts";
import type { Isolation } from "./isolation.ts";
import { OutputPipes } from "./output-pipes.ts";

const REMOVE_MS = 60_000;
const CHANGE_OWNER_MS = 120_000;
const MEASURE_MS = 60_000;
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const WAKE_EVERY_MS = 100;
const LATE_MS = 200;
const LATE_ROUNDS = 25;
const USER_NAME = "shipfox";

/** One job's folders and processes on the machine itself: see `Sandbox` for when what is called. */
export class HostSandbox implements Sandbox {
  readonly jobUser: JobUser;
  readonly #settings: HostSettings;
  readonly #isolate: () => Promise<Isolation>;
  readonly #folder: string;
  readonly #stepFolder: StepFolder;
  readonly #backgroundPipes: OutputPipes[] = [];
  readonly #suspension = new Suspension();
  #isolation: Isolation | null = null;
  /** The process that leads into the isolation, outside of it; it stops with what it leads to. */
  #running: ChildProcess | null = null;
  #waking: NodeJS.Timeout | undefined;
  #closing: Promise<void> | null = null;

  constructor(settings: HostSettings, isolate: () => Promise<Isolation>) {
    this.#settings = settings;
    this.#isolate = isolate;
    this.jobUser = settings.user;
    this.#folder = join(settings.placesFolder, randomBytes(6).toString("hex"));
    this.#stepFolder = new StepFolder(this.#filesFolder, this.#filesFolder, settings.user);
  }

  get workspace(): string {
    return join(this.#folder, "workspace");
  }

  get workspaceInside(): string {
    return this.workspace;
  }

  async open(): Promise<void> {
    try {
      await mkdir(this.#folder);
      // Steps pass through to their folders and see nothing else on the way.
      await chmod(this.#folder, 0o711);
      for (const folder of [this.workspace, this.#home, this.#temporary]) await this.#makeOwnFolder(folder);
      await this.#stepFolder.make();
      if (this.#settings.npmrcFile !== null) await this.#copyNpmrc(this.#settings.npmrcFile);
    } catch (error) {
      throw hostFault("cannot make the folders of a job", error);
    }
    this.#isolation = await this.#isolate();
  }

  async handOver(folder: string): Promise<void> {
    if (!runnerIsRoot()) return;
    try {
      await changeOwner(folder, this.jobUser, CHANGE_OWNER_MS);
    } catch (error) {
      throw hostFault("cannot give the workspace to the steps' user", error);
    }
  }

  async createHiddenFolder(): Promise<string> {
    try {
      return await mkdtemp(join(this.#folder, "hidden-"));
    } catch (error) {
      throw hostFault("cannot make a folder beside the workspace", error);
    }
  }

  async measureDisk(): Promise<number> {
    return await measureFolder(this.#folder, MEASURE_MS);
  }

  async createStepFile(name: string): Promise<StepFile> {
    return await this.#stepFolder.createFile(name);
  }

  async createStepFolder(name: string): Promise<StepFile> {
    return await this.#stepFolder.createFolder(name);
  }

  async exec(step: StepExec): Promise<ExecResult> {
    if (step.signal.aborted) return { kind: "stopped", exitCode: null, signal: null };
    const isolation = await this.#livingIsolation();
    const script = this.#stepFolder.writeScript(step.script);
    try {
      const pipes = await OutputPipes.make(this.#filesFolder, this.jobUser).catch((error: unknown) => {
        throw hostFault("cannot make the step's pipes", error);
      });
      const workingDirectory = join(this.workspace, step.workingDirectory ?? ".");
      const directory = step.workingDirectory?.startsWith("/") ? step.workingDirectory : workingDirectory;
      const env = { ...this.#baseEnv(), ...step.env };
      const text = launchText({ env, path: step.path ?? [], workingDirectory: directory, scriptPath: script.inside });
      await this.#suspension.passed(step.signal);
      if (step.signal.aborted) {
        pipes.destroy();
        return { kind: "stopped", exitCode: null, signal: null };
      }
      return await this.#run(isolation, text, pipes, step);
    } finally {
      await this.#stepFolder.removeFile(script);
    }
  }

  takeServiceLogs(): [] {
    return [];
  }

  async pause(): Promise<void> {
    await this.#suspension.pause(async () => {
      clearInterval(this.#waking);
      // First, so that it cannot lead anybody in behind our back.
      this.#running?.kill("SIGSTOP");
      if (this.#isolation?.isAlive) await this.#isolation.pause();
    });
  }

  async resume(): Promise<void> {
    await this.#suspension.resume(async () => {
      if (this.#isolation?.isAlive) await this.#isolation.resume();
      this.#wake();
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #run(isolation: Isolation, text: string, pipes: OutputPipes, step: StepExec): Promise<ExecResult> {
    const { child, exit } = start(isolation, text, pipes);
    this.#running = child;
    const stop = new StopOnce(step.signal, async () => await this.#killTree(isolation, step.graceMs, exit));
    try {
      const pump = pumpOutput(pipes.chunks(), exit, step.onOutput.bind(step));
      // A reader that fails must not leave the step running unseen.
      pump.catch(stop.now);
      const exitCode = await exit;
      const stopped = await stop.settled();
      await pump;
      if (!stopped && !isolation.isAlive) {
        throw new SandboxError("sandbox_lost", "The job's namespaces went away while a step ran in them.");
      }
      return { kind: stopped ? "stopped" : "exited", exitCode, signal: signalOf(exitCode) };
    } finally {
      stop.release();
      this.#running = null;
      clearInterval(this.#waking);
      child.stdin?.destroy();
      pipes.discard();
      this.#backgroundPipes.push(pipes);
    }
  }

  /** When the tree cannot be proved dead, the namespaces go; the next step gets new ones. */
  async #killTree(isolation: Isolation, graceMs: number, exit: Promise<unknown>): Promise<void> {
    await this.#suspension.settled();
    const ended = exit.then(
      () => true,
      () => true,
    );
    try {
      // What stands still cannot heed a signal but the last.
      await isolation.killTree(this.#suspension.isOn ? 0 : graceMs);
      this.#wake();
      // A step that was still on its way into the isolation was not met.
      for (let round = 0; !(await Promise.race([ended, pause(LATE_MS, false)])); round++) {
        if (round === LATE_ROUNDS) throw new Error("the step's shell does not end");
        await isolation.killTree(0);
      }
    } catch (error) {
      // A close meanwhile, as a forced cancel brings, ended them all.
      if (this.#closing === null) {
        this.#settings.logger.warn({ err: error }, "cannot kill a step's processes: ending the job's isolation");
      }
      await isolation.end();
      this.#wake();
    }
  }

  /** More than once: `nsenter` stops itself when it learns, perhaps late, that the process it waits for was stopped. */
  #wake(): void {
    const child = this.#running;
    clearInterval(this.#waking);
    if (child === null) return;
    child.kill("SIGCONT");
    this.#waking = setInterval(() => void child.kill("SIGCONT"), WAKE_EVERY_MS);
  }

  async #livingIsolation(): Promise<Isolation> {
    if (this.#isolation === null) throw new Error("The sandbox is not open.");
    if (!this.#isolation.isAlive) this.#isolation = await this.#isolate();
    return this.#isolation;
  }

  async #close(): Promise<void> {
    try {
      await this.#isolation?.end();
      this.#wake();
      for (const pipes of this.#backgroundPipes) pipes.destroy();
      await removeTree(this.#folder, REMOVE_MS);
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      throw new SandboxError("clean_up_failed", `Something of a job is left in ${this.#folder}: ${detail}`, {
        cause: error,
      });
    }
  }

  async #makeOwnFolder(path: string): Promise<void> {
    await mkdir(path, { mode: 0o700 });
    if (runnerIsRoot()) await chown(path, this.jobUser.uid, this.jobUser.gid);
  }

  async #copyNpmrc(source: string): Promise<void> {
    const target = join(this.#home, ".npmrc");
    await copyFile(source, target);
    await chmod(target, 0o600);
    if (runnerIsRoot()) await chown(target, this.jobUser.uid, this.jobUser.gid);
  }

  #baseEnv(): Record<string, string> {
    return {
      PATH: DEFAULT_PATH,
      LANG: "C.UTF-8",
      HOME: this.#home,
      USER: USER_NAME,
      LOGNAME: USER_NAME,
      TMPDIR: this.#temporary,
      ...caEnv(this.#settings.caFile),
      ...this.#settings.passedEnv,
    };
  }

  get #home(): string {
    return join(this.#folder, "home");
  }

  get #temporary(): string {
    return join(this.#folder, "tmp");
  }

  get #filesFolder(): string {
    return join(this.#folder, "files");
  }
}

/** The text goes through standard input: an argument could be read by everybody on the machine, and it holds the environment. */
function start(isolation: Isolation, text: string, pipes: OutputPipes): { child: ChildProcess; exit: Promise<number> } {
  const { file, args, user, env } = isolation.invoke(["-s"]);
  const [stdout = 0, stderr = 0] = pipes.descriptors;
  const child = spawn(file, args, { stdio: ["pipe", stdout, stderr], env, cwd: "/", detached: true, ...user });
  pipes.closeWriters();
  const exit = new Promise<number>((resolve, reject) => {
    child.once("exit", (code, signal) => resolve(exitCodeOf(code, signal)));
    child.once("error", (error) => reject(hostFault("cannot start a step", error)));
  });
  exit.catch(() => {});
  child.stdin?.on("error", () => {});
  child.stdin?.end(text);
  return { child, exit };
}
