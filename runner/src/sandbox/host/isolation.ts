import type { JobUser } from "../sandbox.ts";

/** A program to start so that it runs as the steps' user in the job's isolation. */
export interface Invocation {
  file: string;
  args: string[];
  /** For a plain child process, where no program before it changes the user. */
  user: JobUser | null;
  env: Readonly<Record<string, string>>;
}

/** How the processes of one job are kept together and apart from others: in namespaces where the kernel lets us. */
export interface Isolation {
  /** Ready to start steps; false after `end`. */
  readonly isAlive: boolean;
  invoke(shellArgs: readonly string[]): Invocation;
  /** SIGTERM to every process of the job, up to `graceMs`, SIGKILL; resolves when none is left, rejects when that cannot be proved. */
  killTree(graceMs: number): Promise<void>;
  /** Every process of the job stands still until `resume`. Rejects when that cannot be done. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Kills whatever is left, at once. Idempotent. */
  end(): Promise<void>;
}
