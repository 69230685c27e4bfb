import { OnceATurn } from "../../events/once-a-turn.ts";
import { LogPiece } from "./log-piece.ts";

/** Above this, followers read from the file at their own pace instead of being handed the bytes. */
const MAX_LIVE_FRAME_BYTES = 1024 * 1024;

/** One who reads along. */
export interface Follower {
  /** The cursor behind what it was sent. */
  position: number;
  /** Sends it; false when its connection should take no more at the moment. */
  write(piece: LogPiece): boolean;
}

interface Channel {
  readonly parked: Map<Follower, () => void>;
  /** Bytes that the parked ones have not been sent yet; `start` is the position of the first of them. */
  start: number;
  chunks: Uint8Array[];
  bytes: number;
}

/**
 * Hands new bytes of logs to those who read along in this process. What arrives in one turn of the event loop is framed
 * once and the same buffer is written to everybody who is up to date; all others are woken and help themselves.
 */
export class LogHub {
  readonly #channels = new Map<string, Channel>();
  readonly #dirty = new OnceATurn<Channel>((channel) => this.#flush(channel));

  /**
   * Settles when the follower must look for itself: something other than bytes happened, or it is behind. Until then
   * the bytes that follow its position are sent to it. Between its look and this call nothing may be awaited.
   */
  park(topic: string, follower: Follower): Promise<void> {
    const channel = this.#channels.get(topic) ?? { parked: new Map(), start: 0, chunks: [], bytes: 0 };
    // Those parked before may still lack bytes that the newcomer has read already.
    this.#flush(channel);
    this.#channels.set(topic, channel);
    return new Promise((resolve) => {
      channel.parked.set(follower, () => {
        channel.parked.delete(follower);
        if (channel.parked.size === 0 && this.#channels.get(topic) === channel) this.#channels.delete(topic);
        resolve();
      });
    });
  }

  /** Wakes one follower; nothing happens when it is not parked there. */
  wake(topic: string, follower: Follower): void {
    this.#channels.get(topic)?.parked.get(follower)?.();
  }

  /** `chunk` was stored and acknowledged at `start`. */
  appended(topic: string, start: number, chunk: Uint8Array): void {
    const channel = this.#channels.get(topic);
    if (!channel) return;
    if (channel.chunks.length === 0) channel.start = start;
    channel.chunks.push(chunk);
    channel.bytes += chunk.length;
    this.#dirty.mark(channel);
  }

  /** Something else happened: it was opened, capped or closed. Everybody parked looks for himself. */
  changed(topic: string): void {
    const channel = this.#channels.get(topic);
    if (!channel) return;
    this.#flush(channel);
    for (const wake of channel.parked.values()) wake();
  }

  #flush(channel: Channel): void {
    const { start, chunks, bytes } = channel;
    if (chunks.length === 0) return;
    channel.chunks = [];
    channel.bytes = 0;
    const piece = bytes <= MAX_LIVE_FRAME_BYTES ? new LogPiece(Buffer.concat(chunks, bytes), start + bytes) : null;
    for (const [follower, wake] of channel.parked) {
      if (piece && follower.position === start) {
        follower.position = start + bytes;
        if (follower.write(piece)) continue;
      }
      wake();
    }
  }
}
