import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { changeOwner } from "../remove-tree.ts";
import { runnerIsRoot } from "../job-user.ts";
import { measureFolder } from "../measure-folder.ts";
import { SandboxError, hostFault } from "../sandbox-error.ts";
import type { ExecResult, JobUser, Sandbox, SandboxJob, ServiceLog, StepExec, StepFile } from "../sandbox.ts";
import { signalOf } from "../exit-code.ts";
import { Suspension } from "../suspension.ts";
import { WORKSPACE_INSIDE } from "./container-options.ts";
import { rejectOnAbort } from "./engine.ts";
import type { JobContainer } from "./job-container.ts";
import type { JobRoom, JobRooms } from "./job-rooms.ts";

const CLOSE_DEADLINE_MS = 120_000;
const CHANGE_OWNER_MS = 120_000;
const MEASURE_MS = 60_000;

/** One job's room in the Docker Engine: see `Sandbox` for when what is called. */
export class DockerSandbox implements Sandbox {
  readonly workspaceInside = WORKSPACE_INSIDE;
  readonly jobUser: JobUser;
  readonly #rooms: JobRooms;
  readonly #job: SandboxJob;
  readonly #suspension = new Suspension();
  #room: JobRoom | null = null;
  #closing: Promise<void> | null = null;

  constructor(rooms: JobRooms, job: SandboxJob) {
    this.#rooms = rooms;
    this.#job = job;
    this.jobUser = rooms.userOf(job);
  }

  get workspace(): string {
    return this.#opened().place.workspace;
  }

  async open(): Promise<void> {
    this.#room = await this.#rooms.open(this.#job);
    await this.#rooms.startServices(this.#room, this.#job);
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
      return await mkdtemp(join(this.#opened().place.folder, "hidden-"));
    } catch (error) {
      throw hostFault("cannot make a folder beside the workspace", error);
    }
  }

  async createStepFile(name: string): Promise<StepFile> {
    return await this.#opened().place.stepFolder.createFile(name);
  }

  async createStepFolder(name: string): Promise<StepFile> {
    return await this.#opened().place.stepFolder.createFolder(name);
  }

  async exec(step: StepExec): Promise<ExecResult> {
    const room = this.#opened();
    if (step.signal.aborted) return { kind: "stopped", exitCode: null, signal: null };
    const script = room.place.stepFolder.writeScript(step.script);
    try {
      const container = await this.#livingContainer(room);
      const launch = {
        env: step.env,
        path: step.path ?? [],
        workingDirectory: step.workingDirectory,
        scriptPath: script.inside,
      };
      await this.#suspension.passed(step.signal);
      if (step.signal.aborted) return { kind: "stopped", exitCode: null, signal: null };
      const { exitCode, stopped } = await container.run(launch, step.onOutput.bind(step), step.signal, step.graceMs);
      if (stopped) return { kind: "stopped", exitCode, signal: exitCode === null ? null : signalOf(exitCode) };
      if (exitCode === null) throw new SandboxError("sandbox_lost", "The step's exit code is not known.");
      return { kind: "exited", exitCode, signal: signalOf(exitCode) };
    } finally {
      await room.place.stepFolder.removeFile(script);
    }
  }

  async measureDisk(): Promise<number> {
    const { place } = this.#opened();
    const [folder, layers] = await Promise.all([
      measureFolder(place.folder, MEASURE_MS),
      this.#rooms.layerBytes(place),
    ]);
    return folder + layers;
  }

  takeServiceLogs(): ServiceLog[] {
    return this.#room?.services?.takeLogs() ?? [];
  }

  async pause(): Promise<void> {
    await this.#suspension.pause(async () => {
      const { container, services } = this.#opened();
      await container.pause();
      await services?.pause();
    });
  }

  async resume(): Promise<void> {
    await this.#suspension.resume(async () => {
      const { container, services } = this.#opened();
      await services?.resume();
      await container.resume();
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#room === null) return;
    const late = AbortSignal.timeout(CLOSE_DEADLINE_MS);
    try {
      await Promise.race([this.#rooms.close(this.#room), rejectOnAbort(late)]);
    } catch (error) {
      if (!late.aborted) throw error;
      throw new SandboxError("clean_up_failed", `A job's sandbox was not removed in ${CLOSE_DEADLINE_MS / 1000} s.`, {
        cause: error,
      });
    }
  }

  /** A container that had to be killed with a step's tree is replaced: same place and workspace, nothing else kept. */
  async #livingContainer(room: JobRoom): Promise<JobContainer> {
    if (room.container.isKilled) await this.#rooms.replaceContainer(room);
    return room.container;
  }

  #opened(): JobRoom {
    if (this.#room === null) throw new Error("The sandbox is not open.");
    return this.#room;
  }
}
