import type { SseStream } from "../../http/sse.ts";
import type { Attempt } from "./find-attempt.ts";
import type { Follower } from "./hub.ts";
import { encodeLogFrame, encodeState } from "./log-frames.ts";
import type { Logs } from "./logs.ts";
import { type StreamRef, streamKey, tombstonesAfter } from "./model.ts";
import { readRecords } from "./read-records.ts";

/** About this much of the history is sent before waiting for the reader to take it. */
const HISTORY_PIECE_BYTES = 256 * 1024;

/**
 * Sends a log from `cursor` to its end, each record once and in order: first what is stored, at the reader's pace, then
 * what arrives. Ends with the state `end`. `find` looks the attempt up again while it has no log yet.
 */
export async function followLog(
  logs: Logs,
  sse: SseStream,
  options: { attempt: Attempt; cursor: number; find: () => Promise<Attempt>; now: () => number },
): Promise<void> {
  const { attempt, find } = options;
  const follower: Follower = { position: options.cursor, write: (frame) => sse.write(frame) };
  const topic = streamKey(attempt.stepId, attempt.attempt);
  sse.onClose(() => {
    logs.hub.wake(topic, follower);
    logs.hub.wake(attempt.runId, follower);
  });
  const stream = await awaitStream(logs, sse, follower, attempt, find);
  if (!stream) return end(sse, false);
  sse.write(encodeState({ state: "open" }));
  await sendStream(logs, sse, follower, stream, options.now);
}

/** The log once there is one; null when none can come any more. */
async function awaitStream(
  logs: Logs,
  sse: SseStream,
  follower: Follower,
  attempt: Attempt,
  find: () => Promise<Attempt>,
): Promise<StreamRef | null> {
  let { found } = attempt;
  while (found === "not-yet" || found === "running") {
    if (sse.closed) return null;
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
  sse: SseStream,
  follower: Follower,
  stream: StreamRef,
  now: () => number,
): Promise<void> {
  const topic = streamKey(stream.stepId, stream.attempt);
  while (!sse.closed) {
    await sse.drained();
    await logs.streams.state(stream);
    // From here to `park` nothing is awaited, so that no append slips in between.
    const state = logs.streams.known(stream)?.state;
    if (!state || sse.closed) continue;
    if (follower.position < state.stored) {
      const records = await readRecords(logs.files, stream, {
        cursor: follower.position,
        end: state.stored,
        aboutBytes: HISTORY_PIECE_BYTES,
      });
      follower.position += records.length;
      sse.write(encodeLogFrame(records, follower.position));
      continue;
    }
    for (const { type, line, next } of tombstonesAfter(state, follower.position, now())) {
      follower.position = next;
      if (type === "capped") sse.write(encodeState({ state: "gap", dropped_bytes: null }));
      sse.write(encodeLogFrame(Buffer.from(line), next));
    }
    if (state.closed) return end(sse, state.truncated);
    await logs.hub.park(topic, follower);
  }
}

function end(sse: SseStream, truncated: boolean): void {
  sse.write(encodeState({ state: "end", truncated }));
  sse.end();
}
