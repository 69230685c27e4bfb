import type { PullPolicy, RegistryCredential, ServiceConfig } from "@shipfox/shared/machine";

/**
 * The contract between the runner, which knows jobs and steps, and the places in which they run.
 * Implementations: `docker/` (default) and `host/` (for machines that are themselves disposable).
 */

export interface SandboxJob {
  jobId: string;
  executionId: string;
  /** The image the workflow asks for, or null for the runner's own. The host sandbox refuses anything but null. */
  image: string | null;
  /** `none` for a job that wants no network; where the operator gives jobs none, nothing else is to be had. */
  network?: "default" | "none";
  /** When `image` is pulled; absent: the operator's policy. */
  pull?: PullPolicy;
  /** Containers beside the steps; `open` resolves when they are ready. The host sandbox refuses any. */
  services?: readonly ServiceConfig[];
  /** What the registry of one of the job's images asks for; null when nothing is stored. Asked anew for every job. */
  registryCredential?: (image: string) => Promise<RegistryCredential | null>;
  /** Takes lines on the progress of `open`. */
  report?: (line: string) => void;
  /** Aborted when the job is stopped: `open` gives up waiting for others. */
  signal?: AbortSignal;
}

/** Numeric ids under which steps run. Not the runner's own, when the runner is root. */
export interface JobUser {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Makes sandboxes and owns what outlives a job: the warm pool and the leftovers of a killed runner.
 *
 * Life: `prepare` once, before anything else; `create` once per job, any number side by side; `close` once, after every
 * sandbox was closed. All three reject with `SandboxError`.
 */
export interface SandboxProvider {
  readonly capabilities: SandboxCapabilities;
  /**
   * Checks that jobs can run here and removes what an earlier process with the same runner id left behind (nothing of
   * another runner is touched), then starts to fill the warm pool without waiting for it. Safe to repeat after a failure.
   */
  prepare(): Promise<void>;
  /** Folders on this machine whose file systems jobs fill, as far as they are known by now. */
  diskPaths(): string[];
  /** Makes nothing yet; `Sandbox.open` does. */
  create(job: SandboxJob): Sandbox;
  /** What is not isolated on this machine, a sentence each, known after `prepare`; empty when all is as documented. */
  describeIsolation(): string[];
  /** The containers that wait for a job and how many should; null where there are none. At any time. */
  describePool(): { ready: number; wanted: number } | null;
  /** Removes the warm pool and waits for clean-ups in flight. Idempotent. */
  close(): Promise<void>;
}

export interface SandboxCapabilities {
  readonly sandbox: "docker" | "host";
  /** Whether a job may choose its image. */
  readonly image: boolean;
  /** Whether a job may have services beside it. */
  readonly services: boolean;
  /** Whether a job may ask for a network of its own choice: for none. */
  readonly network: boolean;
}

/**
 * One isolated place in which the steps of one job run.
 *
 * Life: `open` once, then `exec` strictly one after another, then `close` exactly once, also after a failed `open`.
 * Different jobs run side by side and share nothing. Faults of the machine reject with `SandboxError`; whatever a step does,
 * however it ends, is an `ExecResult`.
 */
export interface Sandbox {
  /** The workspace as the host sees it: empty, owned by `jobUser`. Known after `open`; host git fills it before the first step. */
  readonly workspace: string;
  /** The workspace as the steps see it. */
  readonly workspaceInside: string;
  readonly jobUser: JobUser;
  open(): Promise<void>;
  /**
   * Makes everything in the workspace, or in a hidden folder, belong to `jobUser`, without following links. For host programs
   * that filled it as the runner; of the workspace only before the first `exec`.
   */
  handOver(folder: string): Promise<void>;
  /**
   * Makes an empty folder on the file system of the workspace that no step sees, in which host programs prepare what is then
   * moved there. Its bytes are the job's. Between `open` and `close`, which removes it.
   */
  createHiddenFolder(): Promise<string>;
  /**
   * Makes an empty file that steps may write and the runner reads with `readStepFile`. It lies in a folder of the runner, so a
   * step can neither replace nor remove it when it runs as another user. Between `open` and `close`; `name` is a plain file
   * name, used once per sandbox.
   */
  createStepFile(name: string): Promise<StepFile>;
  /** As `createStepFile`, for an empty folder in which steps may make files; the runner reads it with `readStepFolder`. */
  createStepFolder(name: string): Promise<StepFile>;
  exec(step: StepExec): Promise<ExecResult>;
  /** Bytes that the job takes on the disks of this machine, as far as that can be told. Between `open` and `close`. */
  measureDisk(): Promise<number>;
  /** What each service printed since the last call, at most 64 KiB of each; also after a failed `open`. */
  takeServiceLogs(): ServiceLog[];
  /**
   * Makes every process of the job stand still until `resume`, beside a running `exec`; a step that is about to start waits.
   * Between `open` and `close`. Rejects when that cannot be done: then only `close` keeps the job from going on. Stopping a step
   * that stands still, and `close`, kill at once, without grace. Both idempotent.
   */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends every process of the job and removes its containers, network and files. Idempotent, has its own deadline. */
  close(): Promise<void>;
}

export interface ServiceLog {
  readonly name: string;
  /** Empty when it printed nothing. */
  readonly lines: readonly string[];
}

export interface StepFile {
  /** Path for the runner. */
  readonly host: string;
  /** Path for the steps. */
  readonly inside: string;
}

export interface StepExec {
  /** Shell text: bash with `-eo pipefail` where there is a bash, else `sh -e`. At most `MAX_SCRIPT_BYTES`. */
  script: string;
  /** Added to PATH, HOME, USER and what the image itself sets; nothing of the runner's environment gets in. */
  env: Readonly<Record<string, string>>;
  /** Put before PATH, the first of them foremost. */
  path?: readonly string[];
  /** As the steps see it, relative to the workspace or absolute; null is the workspace. */
  workingDirectory: string | null;
  /** Called in order, never two at once; while it is pending the step is held back, so a slow reader costs no memory. */
  onOutput(stream: OutputStream, chunk: Buffer): void | Promise<void>;
  /** Abort sends SIGTERM to everything that this and earlier steps started, after `graceMs` SIGKILL. */
  signal: AbortSignal;
  /** From SIGTERM to SIGKILL in milliseconds; 0 kills at once. */
  graceMs: number;
}

export type OutputStream = "stdout" | "stderr";

/**
 * A step ends when its shell ends. Background processes live on to the next step and die with the job, a cancel or a
 * time-out; what they still print is read for at most a second.
 *
 * `exitCode` is what the engine or the kernel reports, 128 + n for a death by signal n; `signal` is the name for such a code.
 * `stopped` means that `signal` was aborted; by then the whole tree is dead.
 */
export type ExecResult =
  | { kind: "exited"; exitCode: number; signal: NodeJS.Signals | null }
  | { kind: "stopped"; exitCode: number | null; signal: NodeJS.Signals | null };

/** A script is handed over as a file; the bound only keeps nonsense out. */
export const MAX_SCRIPT_BYTES = 1024 * 1024;
