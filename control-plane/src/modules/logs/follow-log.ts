import type { Attempt } from "./find-attempt.ts";
import type { Follower } from "./hub.ts";
import { LogPiece } from "./log-piece.ts";
import type { Logs } from "./logs.ts";
import { type StreamRef, streamKey, tombstonesAfter } from "./model.ts";
import { readRecords } from "./read-records.ts";

/** About this much of the history is sent before waiting for the reader to take it. */
const HISTORY_PIECE_BYTES = 256 * 1024;

/** Where the records of one log go. */
export interface LogSink {
  readonly closed: boolean;
  /** There is a log; called once before its first record. */
  opened(): void;
  /** Sends it; false when the connection should take no more at the moment. */
  write(piece: LogPiece): boolean;
  /** Settles when there is room again, or when the connection has closed. */
  drained(): Promise<void>;
  onClose(callback: () => void): void;
}

export interface FollowLogOptions {
  readonly attempt: Attempt;
  readonly cursor: number;
  /** Looks the attempt up again while it has no log yet. */
  readonly find: () => Promise<Attempt>;
  readonly now: () => number;
  readonly pieceBytes?: number;
}

/**
 * Sends a log from `cursor` to its end, each record once and in order: first what is stored, at the reader's pace, then
 * what arrives. Answers how it ended; null when the reader is gone.
 */
export async function followLog(
  logs: Logs,
  sink: LogSink,
  options: FollowLogOptions,
): Promise<{ truncated: boolean } | null> {
  const { attempt, find } = options;
  const follower: Follower = { position: options.cursor, write: (piece) => sink.write(piece) };
  const topic = streamKey(attempt.stepId, attempt.attempt);
  sink.onClose(() => {
    logs.hub.wake(topic, follower);
    logs.hub.wake(attempt.runId, follower);
  });
  const stream = await awaitStream(logs, sink, follower, attempt, find);
  if (!stream) return sink.closed ? null : { truncated: false };
  sink.opened();
  return sendStream(logs, sink, follower, stream, options);
}

/** The log once there is one; null when none can come any more. */
async function awaitStream(
  logs: Logs,
  sink: LogSink,
  follower: Follower,
  attempt: Attempt,
  find: () => Promise<Attempt>,
): Promise<StreamRef | null> {
  let { found } = attempt;
  while (found === "not-yet" || found === "running") {
    if (sink.closed) return null;
    // Parked before it looks: what happens in between wakes it.
    const woken = logs.hub.park(attempt.runId, follower);
    try {
      ({ found } = await find());
      if (found === "not-yet" || found === "running") await woken;
    } finally {
      logs.hub.wake(attempt.runId, follower);
    }
  }
  return found === "never" || found === "finished" ? null : found;
}

async function sendStream(
  logs: Logs,
  sink: LogSink,
  follower: Follower,
  stream: StreamRef,
  { now, pieceBytes = HISTORY_PIECE_BYTES }: FollowLogOptions,
): Promise<{ truncated: boolean } | null> {
  const topic = streamKey(stream.stepId, stream.attempt);
  while (!sink.closed) {
    await sink.drained();
    await logs.streams.state(stream);
    // From here to `park` nothing is awaited, so that no append slips in between.
    const state = logs.streams.known(stream)?.state;
    if (!state || sink.closed) continue;
    if (follower.position < state.stored) {
      const records = await readRecords(logs.files, stream, {
        cursor: follower.position,
        end: state.stored,
        aboutBytes: pieceBytes,
      });
      follower.position += records.length;
      sink.write(new LogPiece(records, follower.position));
      continue;
    }
    for (const { line, next } of tombstonesAfter(state, follower.position, now())) {
      follower.position = next;
      sink.write(new LogPiece(Buffer.from(line), next));
    }
    if (state.closed) return { truncated: state.truncated };
    await logs.hub.park(topic, follower);
  }
  return null;
}
