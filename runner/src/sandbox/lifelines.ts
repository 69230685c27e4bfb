/**
 * Keeps what belongs to jobs alive only as long as the runner is. A lifeline is held by the runner's guard process: when the
 * guard goes, for whatever reason, or finds that the runner hangs, what hangs on its lines ends.
 *
 * Any number of lines side by side. All methods reject with `SandboxError` when there is no guard any more.
 */
export interface Lifelines {
  /**
   * For a container whose main process only reads its standard input: attaches to it. Before the container is started, so that
   * it never runs unheld. `engine` is a DOCKER_HOST.
   */
  holdContainer(engine: string, containerId: string): Promise<Lifeline>;
  /** For a process that reads a named pipe to its end: opens the pipe for writing. The name is not needed afterwards. */
  holdPipe(path: string): Promise<Lifeline>;
  /** For processes that can only be found: kills all that have `mark`, as NAME=value, in their environment, and their children. */
  holdProcesses(mark: string): Promise<Lifeline>;
}

export interface Lifeline {
  /** Lets go at once: the container or the reader of the pipe ends; marked processes are forgotten. Idempotent. */
  release(): void;
}
