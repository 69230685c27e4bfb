export interface RemoteHead {
  /** Name of the default branch; `HEAD` when the remote has a detached one. */
  readonly branch: string;
  readonly sha: string;
}

/** One git process: what it may read, write and how long. */
export interface GitCommand {
  readonly args: readonly string[];
  readonly input?: string;
  readonly maxOutputBytes?: number;
  /** Largest file the process and its children may write. */
  readonly maxFileBytes?: number;
}

/** Runs git for one purpose, in one temporary folder, until one deadline. */
export interface GitSession {
  /** Temporary folder of this session, removed afterwards. */
  readonly folder: string;
  /** Talks to the repository, known as `origin`. Throws ApiError. Answers standard output. */
  remote(command: GitCommand): Promise<Buffer>;
  /** Never opens a connection. */
  local(command: GitCommand): Promise<Buffer>;
}
