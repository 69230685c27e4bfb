import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { Backoff } from "@shipfox/shared/backoff";
import { isTransient, RefusedError, retryAfterOf } from "@shipfox/shared/call-error";
import type { Spool } from "./spool.ts";

export type LogOutcome = "drained" | "abandoned";

/** Bytes of one append: large enough that a backlog is sent quickly, small enough that a lost reply costs little. */
const MAX_APPEND_BYTES = 512 * 1024;
const OFFSET_GAP = "offset-gap";
const offsetGapSchema = z.object({ committed_length: z.int().min(0) });

/** Sends whole records that start at `offset`; an empty body asks for the committed length. */
export type SendRecords = (
  offset: number,
  records: Buffer,
  signal: AbortSignal,
) => Promise<{ committed_length: number; capped: boolean; budget_bytes?: number | undefined }>;

/**
 * Sends one spool to the control plane, in order, one append in flight. While none is, new records go at once; while one
 * is, they gather. Goes on through any outage until everything is acknowledged, the server wants no more, or `stop`.
 */
export class LogUploader {
  private readonly spool: Spool;
  private readonly send: SendRecords;
  private readonly stopping = new AbortController();
  private readonly backoff: Backoff;
  private position: number;
  private needsProbe: boolean;
  private running = false;
  private complete = false;
  private outcome: LogOutcome | null = null;
  private unreachable = false;
  private waiters: (() => void)[] = [];

  /** `resume` for a spool of an earlier process, of which the server may have a part. */
  constructor(options: { spool: Spool; send: SendRecords; resume?: boolean; backoff?: Backoff }) {
    this.spool = options.spool;
    this.send = options.send;
    this.backoff = options.backoff ?? new Backoff();
    this.position = options.spool.start;
    this.needsProbe = options.resume ?? false;
  }

  /** Tells that the spool has grown. Cheap; call it after every write. */
  wake(): void {
    if (this.running || this.outcome !== null) return;
    this.running = true;
    // What is written in the same turn of the event loop goes in one append.
    setImmediate(() => void this.run());
  }

  /**
   * After the last record: waits until all of the spool is acknowledged. Gives up as `abandoned` after `idleMs` in which
   * the plane answered but took nothing; an outage does not count, `signal` ends that too. Sending goes on until `stop`.
   */
  async drain(idleMs: number, signal: AbortSignal): Promise<LogOutcome> {
    this.complete = true;
    this.wake();
    while (this.outcome === null && !signal.aborted) {
      const changed = await this.waitForChange(idleMs, signal);
      if (!changed && !this.unreachable) break;
    }
    return this.outcome ?? "abandoned";
  }

  /** False when the server closed the stream or its budget is used up: writing more would only fill the disk. */
  get wantsMore(): boolean {
    return this.outcome === null;
  }

  /** Gives up what was not sent and waits until no call is in flight. */
  async stop(): Promise<void> {
    this.stopping.abort();
    while (this.running) await new Promise<void>((resolve) => this.waiters.push(resolve));
  }

  private async run(): Promise<void> {
    while (!this.stopping.signal.aborted && this.outcome === null && this.hasWork()) {
      try {
        await this.sendNext();
        this.backoff.reset();
        this.unreachable = false;
      } catch (error) {
        await this.recover(error);
      }
      this.notify();
    }
    if (this.complete && this.outcome === null && !this.hasWork()) this.outcome = "drained";
    this.running = false;
    this.notify();
  }

  private hasWork(): boolean {
    return this.needsProbe || this.position < this.spool.end;
  }

  private async sendNext(): Promise<void> {
    const records = this.needsProbe ? Buffer.alloc(0) : this.spool.read(this.position, MAX_APPEND_BYTES);
    const reply = await this.send(this.position, records, this.stopping.signal);
    if (reply.capped) {
      this.outcome = "drained";
      return;
    }
    const tookNothing = records.length > 0 && reply.committed_length <= this.position;
    this.needsProbe = false;
    // A closed stream answers with its frozen length, for ever: there is nothing more to say to it.
    if (tookNothing) this.outcome = "abandoned";
    else this.moveTo(reply.committed_length);
  }

  private async recover(error: unknown): Promise<void> {
    if (error instanceof RefusedError && error.status === 409 && error.code === OFFSET_GAP) {
      const details = offsetGapSchema.safeParse(error.details);
      if (details.success && details.data.committed_length !== this.position)
        return this.moveTo(details.data.committed_length);
      this.outcome = "abandoned";
    } else if (isTransient(error)) {
      this.unreachable = true;
      this.notify();
      await sleep(this.backoff.next(retryAfterOf(error)), undefined, { signal: this.stopping.signal }).catch(() => {});
    } else {
      this.outcome = "abandoned";
    }
  }

  /** The server's length is the truth, as long as we still have what comes after it. */
  private moveTo(committed: number): void {
    if (committed < this.spool.start || committed > this.spool.end) {
      this.outcome = "abandoned";
      return;
    }
    this.position = committed;
    this.spool.acknowledge(committed);
  }

  private notify(): void {
    for (const waiter of this.waiters.splice(0)) waiter();
  }

  /** True when something happened within `timeoutMs`. */
  private waitForChange(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (changed: boolean) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", onAbort);
        resolve(changed);
      };
      const onAbort = () => finish(true);
      const timer = setTimeout(() => finish(false), timeoutMs);
      signal.addEventListener("abort", onAbort, { once: true });
      this.waiters.push(() => finish(true));
    });
  }
}
