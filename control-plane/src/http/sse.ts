import type { ServerResponse } from "node:http";

const PING_INTERVAL_MS = 15_000;
/** A reader that still has more than this before it when the next frame comes is cut off; it resumes from its cursor. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;
/** A reader that took nothing of what waits for it during so many pings is cut off. */
const MAX_STUCK_PINGS = 4;
const RETRY_MS = 1_000;

const open = new Set<SseStream>();
let pings: NodeJS.Timeout | null = null;

/** One server-sent event. `data` may hold newlines; each line becomes a `data:` line. */
export interface SseFrame {
  readonly event: string;
  readonly id?: string | number;
  readonly data: string;
}

export function encodeFrame(frame: SseFrame): string {
  const id = frame.id === undefined ? "" : `id: ${frame.id}\n`;
  return `${id}event: ${frame.event}\ndata: ${frame.data.replaceAll("\n", "\ndata: ")}\n\n`;
}

/**
 * The server's end of one event stream. Writes are buffered by the socket; a slow reader never slows the others:
 * past the bound it is disconnected and comes back with `Last-Event-ID`.
 */
export class SseStream {
  readonly #response: ServerResponse;
  readonly #onClose: (() => void)[] = [];
  #closed = false;
  #stuckPings = 0;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    response.write(`retry: ${RETRY_MS}\n\n`);
    response.once("close", () => this.#ended());
    response.on("drain", () => {
      this.#stuckPings = 0;
    });
    open.add(this);
    pings ??= setInterval(pingAll, PING_INTERVAL_MS).unref();
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** True while the socket takes more without buffering; a producer that pages through history waits for `drained`. */
  send(frame: SseFrame): boolean {
    return this.write(encodeFrame(frame));
  }

  /** As `send`, for frames that are encoded already. */
  write(frames: string | Uint8Array): boolean {
    if (this.#closed) return false;
    if (this.#response.writableLength > MAX_PENDING_BYTES) {
      this.#response.destroy();
      return false;
    }
    return this.#response.write(frames);
  }

  /** Resolves when the socket's buffer is empty again, or the stream closed. */
  drained(): Promise<void> {
    if (this.#closed || !this.#response.writableNeedDrain) return Promise.resolve();
    return new Promise((resolve) => {
      const response = this.#response;
      const settle = (): void => {
        response.off("drain", settle).off("close", settle);
        resolve();
      };
      response.once("drain", settle).once("close", settle);
    });
  }

  /** Keeps the connection alive, and ends one whose other end has stopped reading. */
  ping(): void {
    if (this.#response.writableNeedDrain) this.#stuckPings += 1;
    if (this.#stuckPings > MAX_STUCK_PINGS) this.#response.destroy();
    else this.write(":ping\n\n");
  }

  /** Runs `callback` once when the stream is over, at once when it already is. */
  onClose(callback: () => void): void {
    if (this.#closed) callback();
    else this.#onClose.push(callback);
  }

  end(): void {
    if (!this.#closed) this.#response.end();
  }

  #ended(): void {
    if (this.#closed) return;
    this.#closed = true;
    open.delete(this);
    for (const callback of this.#onClose) callback();
  }
}

function pingAll(): void {
  for (const stream of open) stream.ping();
  if (open.size === 0 && pings) {
    clearInterval(pings);
    pings = null;
  }
}

/** Ends every open stream, for a server that stops; readers reconnect by themselves. */
export function endAllStreams(): void {
  for (const stream of open) stream.end();
}
