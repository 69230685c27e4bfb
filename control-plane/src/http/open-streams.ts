import { ApiError } from "@shipfox/shared/errors";
import type { Logger } from "@shipfox/shared/logger";
import { monotonic } from "../store/clock.ts";
import type { Store, Tx } from "../store/store.ts";
import { accountOf, type Caller } from "./caller.ts";
import type { Reply, RequestFacts } from "./route.ts";
import type { SseStream } from "./sse.ts";
import type { Standing } from "./stream-tickets.ts";

/** Rights are looked up again this often while a stream is open. */
const CHECK_EVERY_MS = 60_000;
/** How exactly: one timer looks after all streams. */
const SWEEP_EVERY_MS = 5_000;

/** A stream that somebody reads. */
export interface OpenStream {
  readonly caller: Caller;
  /** Of the thing that is read; null when that changes, as in a WebSocket. */
  readonly workspaceId: string | null;
  /** Throws ApiError when the caller may no longer read it. */
  readonly check: (tx: Tx) => Promise<void>;
  /** Told once, when he may not. */
  close(reason: ApiError): void;
}

/** What a stream holds while it is open. */
export interface StreamPlace {
  /** Gives the place back. */
  readonly release: () => void;
  /** Looks at once whether the caller may read `check` too; what became part of a stream was looked up before it was known here. */
  readonly confirm: (check: OpenStream["check"]) => void;
}

/** Whose rights may be fewer now: those of a user, of one of his sign-ins or access tokens, or of everybody in a workspace. */
export type AccessChanged = (
  whose: { userId: string } | { sessionId: string } | { tokenId: string } | { workspaceId: string },
) => void;

export interface OpenStreamsDeps {
  readonly store: Store;
  readonly standing: Standing;
  /** Streams that one user, or one access token, may have open; 0 for any number. */
  readonly limit: number;
  readonly log: Logger;
}

interface Entry extends OpenStream {
  readonly key: string;
  dueAt: number;
}

/**
 * Every open stream of users: how many each of them has, and whether he may still read. Rights are looked up again every
 * minute, and at once for those whom `accessChanged` names.
 */
export class OpenStreams {
  readonly #deps: OpenStreamsDeps;
  /** In the order of their next check. */
  readonly #entries = new Set<Entry>();
  readonly #counts = new Map<string, number>();
  #sweeping: NodeJS.Timeout | null = null;
  #isStopping = false;

  constructor(deps: OpenStreamsDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#entries.size;
  }

  /**
   * Takes a place, and looks the caller's rights up: whoever took them away since they were looked up last did not find the
   * stream here. Throws 429 `too-many-streams` when the caller has no more places.
   */
  open(stream: OpenStream): StreamPlace {
    const { limit } = this.#deps;
    const key = accountOf(stream.caller);
    const count = this.#counts.get(key) ?? 0;
    if (limit > 0 && count >= limit) {
      throw new ApiError("too-many-streams", `you have ${count} streams open, which is the limit; close one first`, {
        details: { limit },
      });
    }
    const entry: Entry = { ...stream, key, dueAt: monotonic() + CHECK_EVERY_MS };
    this.#counts.set(key, count + 1);
    this.#entries.add(entry);
    this.#sweeping ??= setInterval(() => this.#sweep(), SWEEP_EVERY_MS).unref();
    void this.#check(entry, entry.check);
    return {
      release: () => void this.#release(entry),
      confirm: (check) => void this.#check(entry, check),
    };
  }

  /** The answer that streams to a caller as long as he may read. `start` is called once, unless he hung up before. */
  reply(
    request: Pick<RequestFacts, "signal">,
    stream: Omit<OpenStream, "close">,
    start: (sse: SseStream) => void,
  ): Reply {
    let opened: SseStream | null = null;
    let refused: ApiError | null = null;
    const close = (reason: ApiError): void => {
      refused = reason;
      if (opened) endFor(reason, opened);
    };
    const { release } = this.open({ ...stream, close });
    if (request.signal.aborted) release();
    request.signal.addEventListener("abort", release, { once: true });
    return {
      status: 200,
      stream: (sse) => {
        opened = sse;
        sse.onClose(release);
        if (refused) endFor(refused, sse);
        else if (this.#isStopping) sse.end();
        else start(sse);
      },
    };
  }

  /** The server stops: streams that were being opened end at once, as those that are open do. */
  stop(): void {
    this.#isStopping = true;
  }

  /**
   * Rights were taken away, or may have been. Call it after the commit; streams of those who may still read go on.
   */
  readonly accessChanged: AccessChanged = (whose) => {
    for (const entry of this.#entries) if (concerns(whose, entry)) void this.#check(entry, entry.check);
  };

  #sweep(): void {
    const now = monotonic();
    for (const entry of this.#entries) {
      if (entry.dueAt > now) break;
      this.#entries.delete(entry);
      entry.dueAt = now + CHECK_EVERY_MS;
      this.#entries.add(entry);
      void this.#check(entry, entry.check);
    }
  }

  async #check(entry: Entry, check: OpenStream["check"]): Promise<void> {
    const { store, standing, log } = this.#deps;
    try {
      await store.read(async (tx) => {
        if (!(await standing.isGood(tx, entry.caller))) throw new ApiError("unauthorized", "the session has ended");
        await check(tx);
      });
    } catch (error) {
      // A database that does not answer says nothing about rights; they are looked up again a minute later.
      if (!(error instanceof ApiError) || error.status >= 500) {
        log.warn({ err: error }, "the rights of an open stream could not be looked up");
      } else if (this.#release(entry)) {
        entry.close(error);
      }
    }
  }

  /** False when it was given back before. */
  #release(entry: Entry): boolean {
    if (!this.#entries.delete(entry)) return false;
    const left = (this.#counts.get(entry.key) ?? 1) - 1;
    if (left === 0) this.#counts.delete(entry.key);
    else this.#counts.set(entry.key, left);
    if (this.#entries.size === 0 && this.#sweeping) {
      clearInterval(this.#sweeping);
      this.#sweeping = null;
    }
    return true;
  }
}

function endFor({ code, message }: ApiError, sse: SseStream): void {
  sse.send({ event: "closed", data: JSON.stringify({ code, message }) });
  sse.end();
}

function concerns(whose: Parameters<AccessChanged>[0], { caller, workspaceId }: OpenStream): boolean {
  if ("userId" in whose) return caller.userId === whose.userId;
  if ("sessionId" in whose) return caller.refreshSessionId === whose.sessionId;
  if ("tokenId" in whose) return caller.token?.id === whose.tokenId;
  return workspaceId === null || workspaceId === whose.workspaceId;
}
