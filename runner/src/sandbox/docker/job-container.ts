import type { Logger } from "pino";
import { pumpOutput } from "../pump-output.ts";
import { SandboxError } from "../sandbox-error.ts";
import type { Lifeline } from "../lifelines.ts";
import type { OutputStream } from "../sandbox.ts";
import { type Launch, isShellName, killTreeText, launchText } from "../shell-text.ts";
import { StopOnce } from "../stop-once.ts";
import { killByCgroup } from "./cgroup-kill.ts";
import { userText } from "./container-options.ts";
import type { DockerSettings } from "./docker-options.ts";
import { type Engine, pause } from "./engine.ts";
import { ExecStream, waitForExit } from "./exec-stream.ts";
import { Gates } from "./gates.ts";
import { runExec } from "./run-exec.ts";

/** From SIGKILL, sent by a process in the container, to its word that nothing is left. */
const KILL_DEADLINE_MS = 10_000;
const PROOF_DEADLINE_MS = 5000;
/** A step whose end the engine does not tell so long after a kill is killed again, and its container after so many kills. */
const END_NEWS_MS = 1000;
const MAX_KILLS = 5;
const GOING_POLLS = 20;
const GOING_POLL_MS = 50;

/**
 * A running container in which steps are executed, held by its lifeline. Its main process belongs to another user than the
 * steps, so killing everything of the steps' user leaves it alone.
 */
export class JobContainer {
  readonly id: string;
  readonly #engine: Engine;
  readonly #settings: DockerSettings;
  readonly #logger: Logger;
  readonly #lifeline: Lifeline;
  readonly #gates: Gates | null;
  /** Set when it was killed because a step's tree could not be proved dead. */
  #isKilled = false;
  #isPaused = false;
  /** Commands of its job that were started in it. */
  launches = 0;
  /** Nothing can be started in a container that stands still. */
  #launching: Promise<unknown> = Promise.resolve();
  #resuming: Promise<unknown> = Promise.resolve();

  private constructor(engine: Engine, settings: DockerSettings, id: string, lifeline: Lifeline) {
    this.#engine = engine;
    this.#settings = settings;
    this.#logger = settings.logger;
    this.id = id;
    this.#lifeline = lifeline;
    this.#gates = settings.exec === "fast" ? new Gates(engine, id, userText(settings.user), settings.logger) : null;
  }

  /** Starts a created container, and `shellsAhead` that wait in it for steps; removes it when that fails. */
  static async start(engine: Engine, settings: DockerSettings, id: string, shellsAhead: number): Promise<JobContainer> {
    let lifeline: Lifeline | null = null;
    try {
      lifeline = await settings.lifelines.holdContainer(engine.address, id);
      await engine.startContainer(id);
    } catch (error) {
      lifeline?.release();
      await engine.removeContainer(id).catch(() => {});
      throw error;
    }
    const container = new JobContainer(engine, settings, id, lifeline);
    container.#gates?.fill(shellsAhead);
    return container;
  }

  get isKilled(): boolean {
    return this.#isKilled;
  }

  async isRunning(): Promise<boolean> {
    if (this.#isKilled) return false;
    return (await this.#engine.inspectContainer(this.id))?.State.Running ?? false;
  }

  /** As `isRunning`, of a container in which no step ran yet: its end would have ended the shells that wait in it. */
  async isUsable(): Promise<boolean> {
    return this.#gates?.hasOpen === true || (await this.isRunning());
  }

  /** Resolves when the first waiting shell is there, so that a warm container is warm indeed. */
  async warmUp(): Promise<void> {
    await this.#gates?.ready();
  }

  /** Runs one launch to its end and hands its output on; resolves with the exit code and whether `signal` stopped it. */
  async run(
    launch: Launch,
    onOutput: (stream: OutputStream, chunk: Buffer) => void | Promise<void>,
    signal: AbortSignal,
    graceMs: number,
  ): Promise<{ exitCode: number | null; stopped: boolean }> {
    this.launches += 1;
    const launching = this.#launch(launch);
    this.#launching = launching.catch(() => {});
    const exec = await launching;
    this.#gates?.fillSoon();
    const exit = waitForExit(this.#engine, exec);
    exit.catch(() => {});
    const stop = new StopOnce(signal, async () => await this.#stopStep(exit, graceMs));
    try {
      const pump = pumpOutput(exec.output(), exit, onOutput);
      // A reader that fails must not leave the step running unseen.
      pump.catch(stop.now);
      const exitCode = await this.#settle(exit, stop);
      const stopped = await stop.settled();
      await pump;
      if (exitCode === null && !stopped) throw new SandboxError("sandbox_lost", LOST);
      return { exitCode, stopped };
    } finally {
      stop.release();
      exec.destroy();
      if (!this.#isKilled) this.#gates?.fillSoon();
    }
  }

  /** Every process in it stands still until `resume`; a launch that is under way is waited for. One that was killed needs neither. */
  async pause(): Promise<void> {
    await this.#launching;
    if (this.#isKilled || this.#isPaused) return;
    this.#isPaused = true;
    await this.#engine.pauseContainer(this.id);
  }

  async resume(): Promise<void> {
    if (this.#isKilled || !this.#isPaused) return;
    const resuming = this.#engine.unpauseContainer(this.id);
    this.#resuming = resuming.catch(() => {});
    await resuming;
    this.#isPaused = false;
    this.#gates?.fillSoon();
  }

  /** Ends the container at once, with everything in it. */
  async kill(): Promise<void> {
    this.#isKilled = true;
    this.#lifeline.release();
    await killByCgroup(this.id);
    await this.#engine.killContainer(this.id);
  }

  async remove(): Promise<void> {
    this.#isKilled = true;
    this.#gates?.close();
    this.#lifeline.release();
    await this.#engine.removeContainer(this.id);
  }

  /** Through a waiting shell when there is one, else with an `exec` of its own. */
  async #launch(launch: Launch): Promise<ExecStream> {
    const gate = await this.#gates?.take();
    if (gate) {
      gate.write(launchText(launch));
      return gate;
    }
    try {
      const execId = await this.#engine.createExec(this.id, {
        Cmd: ["/bin/sh", "-c", launchText({ ...launch, env: onlyOthers(launch.env) })],
        User: userText(this.#settings.user),
        // Not in the command, which every process in the container can read.
        Env: Object.entries(launch.env).map(([name, value]) => `${name}=${value}`),
        AttachStdout: true,
        AttachStderr: true,
      });
      return await ExecStream.start(this.#engine, execId, false);
    } catch (error) {
      throw (await this.#isGone()) ? new SandboxError("sandbox_lost", LOST, { cause: error }) : error;
    }
  }

  /** Null when the container went away before the engine could tell the exit code. */
  async #settle(exit: Promise<number>, stop: StopOnce): Promise<number | null> {
    let exitCode: number;
    try {
      exitCode = await exit;
    } catch (error) {
      if (stop.hasStarted || (await this.#isGone())) return null;
      throw error;
    }
    // The engine reports the end of the whole container as the death of each process in it.
    if (exitCode === KILLED_EXIT_CODE && !stop.hasStarted && (await this.#isGoing())) return null;
    return exitCode;
  }

  /**
   * Whether the container is gone or about to be: the engine may report the death of a process in it before its own. One that
   * can still start a process lives.
   */
  async #isGoing(): Promise<boolean> {
    const user = userText(this.#settings.user);
    const proof = await runExec(this.#engine, this.id, ["/bin/sh", "-c", ":"], user, PROOF_DEADLINE_MS).catch(
      () => null,
    );
    if (proof?.exitCode === 0) return false;
    for (let poll = 0; poll < GOING_POLLS; poll++) {
      if (await this.#isGone()) return true;
      await pause(GOING_POLL_MS);
    }
    return false;
  }

  /** A root step that could give its children to another user may have some that it cannot kill. */
  #mayHide(): boolean {
    return this.#settings.user.uid === 0 && this.#settings.addedCapabilities.includes("SETUID");
  }

  async #isGone(): Promise<boolean> {
    return !(await this.isRunning().catch(() => true));
  }

  /** The engine may start a step after the kill that was meant for it: only the step's own end shows that it was hit. */
  async #stopStep(exit: Promise<unknown>, graceMs: number): Promise<void> {
    const ended = exit.then(
      () => true,
      () => true,
    );
    for (let kills = 0; kills < MAX_KILLS && !this.#isKilled; kills += 1) {
      await this.#killTree(kills === 0 ? graceMs : 0);
      if (await Promise.race([ended, pause(END_NEWS_MS).then(() => false)])) return;
    }
    await this.kill();
  }

  /** When the tree cannot be proved dead from inside, for example because it left no process to start, all of it goes. */
  async #killTree(graceMs: number): Promise<void> {
    this.#gates?.close();
    await this.#resuming;
    // Nothing in it could heed a signal.
    if (this.#isPaused) return await this.kill();
    try {
      const command = ["/bin/sh", "-c", killTreeText(graceMs)];
      const user = userText(this.#settings.user);
      const result = await runExec(this.#engine, this.id, command, user, graceMs + KILL_DEADLINE_MS);
      if (result.exitCode === 0 && !this.#mayHide()) return;
      this.#tellUnlessKilled({ result }, "a step's processes cannot be proved dead: killing its container");
    } catch (error) {
      this.#tellUnlessKilled({ err: error }, "cannot kill a step's processes: killing its container");
    }
    await this.kill();
  }

  /** A container that was killed meanwhile, as a forced cancel does, took the tree along: nothing went wrong. */
  #tellUnlessKilled(facts: object, message: string): void {
    if (!this.#isKilled) this.#logger.warn({ container: this.id, ...facts }, message);
  }
}

/** A shell that starts another program drops the variables whose names it does not understand. */
function onlyOthers(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !isShellName(name)));
}

const LOST = "The job's container went away while a step ran in it. Was it removed by hand, or did Docker restart?";
const KILLED_EXIT_CODE = 137;
