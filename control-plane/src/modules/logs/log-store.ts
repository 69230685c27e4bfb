/** Names the log of one attempt of one step. `workspaceId` and `executionId` say where it is kept. */
export interface LogPlace {
  readonly workspaceId: string;
  readonly executionId: string;
  readonly stepId: string;
  readonly attempt: number;
}

/**
 * Keeps the bytes of logs, exactly as the runner sent them, so that a position in a log is the runner's offset and the
 * reader's cursor alike. It knows nothing of records but that they end with a newline and hold no NUL.
 *
 * A log lives in two halves. While it is open it grows at its end: `create` once, then `append`. `seal` closes it; from
 * then on `archive` may move it into a form that suits keeping (compressed, or an object far away); positions stay those of
 * the raw bytes.
 *
 * The caller does one `create`, `append`, `repair`, `seal`, `archive` or `remove` of a log at a time; different logs go side by side, and
 * `read` may run beside everything. Any failure leaves what was acknowledged readable. A full disk is 507
 * `storage-full`; other rejections are faults of the machine and may be repeated.
 */
export interface LogStore {
  /**
   * Makes the log with its first chunk and settles when both would survive a power cut. A log that is there already is
   * replaced: what it holds was never acknowledged.
   */
  create(place: LogPlace, chunk: Uint8Array): Promise<void>;
  /** Writes the whole chunk at `position`, which is the log's length, and settles when it would survive a power cut. */
  append(place: LogPlace, position: number, chunk: Uint8Array): Promise<void>;
  /**
   * The length of a log after a restart: the end of its last whole record; what lies behind is cut off. 0 when there is
   * none. Every `append` that was acknowledged is within the length.
   */
  repair(place: LogPlace): Promise<number>;
  /** The bytes from `position`, at most `length` of them; fewer only at the end of the log, none when there is none. */
  read(place: LogPlace, position: number, length: number): Promise<Buffer>;
  /** The log has ended at `length`; nothing is appended any more. */
  seal(place: LogPlace, length: number): Promise<void>;
  /** Moves a sealed log to where it takes less room. Idempotent; nothing happens when there is none. */
  archive(place: LogPlace): Promise<void>;
  /** Removes a log; nothing happens when there is none. */
  remove(place: LogPlace): Promise<void>;
  /** Raw bytes kept of all the logs of an execution, open, sealed and archived. */
  usage(execution: Pick<LogPlace, "workspaceId" | "executionId">): Promise<number>;
  /** Settles when nothing is held any more. Nothing may be asked of the store afterwards. */
  close(): Promise<void>;
}
