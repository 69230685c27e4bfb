import type { FramedRecord } from "./framing.ts";
import { LogTail } from "./log-tail.ts";
import { OpenGroups } from "./open-groups.ts";
import type { Spool } from "./spool.ts";

/** Of the job's budget and of the spool, this much is filled as the output comes. */
const HEAD_SHARE = 7 / 8;
/** This much is for the newest output. What is left of a budget is for the steps that follow. */
const TAIL_SHARE = 1 / 16;
const MAX_TAIL_BYTES = 4 * 1024 * 1024;
/** After an outage the log goes on when so much of the spool is free again: one gap, not one for each answer. */
const RESUME_SHARE = 1 / 2;

/**
 * Keeps of one log what has a place, in the control plane's budget and on this disk: the head as it comes and, when that is
 * full, the newest records in memory. They follow, behind a `gap` with the exact number of dropped bytes, as soon as there
 * is room again, or with the end of the log. Never waits: the step prints as fast as it likes.
 */
export class HeadAndTail {
  private readonly spool: Spool;
  private readonly onDiskFault: (message: string) => void;
  private readonly openGroups = new OpenGroups();
  private tail: LogTail | null = null;
  private diskFault = false;
  private budgetBytes: number;

  /** `budgetBytes`: how long this log may become. `onDiskFault` is called once, when the disk refuses to take more. */
  constructor(options: { spool: Spool; budgetBytes: number; onDiskFault: (message: string) => void }) {
    this.spool = options.spool;
    this.budgetBytes = options.budgetBytes;
    this.onDiskFault = options.onDiskFault;
  }

  /** The control plane said how long this log may become. */
  setBudget(bytes: number): void {
    this.budgetBytes = bytes;
  }

  append(record: FramedRecord): void {
    if (this.tail !== null && this.hasRoomAgain(this.tail)) this.resume(this.tail);
    if (this.tail === null) {
      if (this.tryHead(record)) return;
      this.tail = new LogTail(this.openGroups, Math.floor(this.tailBytes()));
    }
    this.tail.push(record, this.tailBytes());
  }

  /** Writes what is held and the last record, also where there is no room: a log without its end looks like a lost runner. */
  end(record: FramedRecord): void {
    this.tail?.shrink(Math.min(this.tailBytes(), this.budgetLeft(HEAD_SHARE + TAIL_SHARE)));
    const held = this.tail?.encode(Date.now()) ?? Buffer.alloc(0);
    this.spool.appendLast(Buffer.concat([held, Buffer.from(record.encoded)]));
    this.tail = null;
  }

  private tryHead(record: FramedRecord): boolean {
    const bytes = Buffer.from(record.encoded);
    const { spool } = this;
    if (spool.unacknowledgedBytes + bytes.length > spool.maxBytes * HEAD_SHARE) return false;
    if (bytes.length > this.budgetLeft(HEAD_SHARE) || !this.write(bytes)) return false;
    this.openGroups.pass(record.record);
    return true;
  }

  private hasRoomAgain(tail: LogTail): boolean {
    if (this.diskFault || this.spool.unacknowledgedBytes > this.spool.maxBytes * RESUME_SHARE) return false;
    return tail.bytes <= this.budgetLeft(HEAD_SHARE);
  }

  private resume(tail: LogTail): void {
    if (!this.write(tail.encode(Date.now()))) return;
    tail.passInto(this.openGroups);
    this.tail = null;
  }

  private write(bytes: Buffer): boolean {
    const fault = this.spool.append(bytes);
    if (fault === null) return true;
    if (!this.diskFault) this.onDiskFault(fault);
    this.diskFault = true;
    return false;
  }

  private budgetLeft(share: number): number {
    return Math.max(0, this.budgetBytes * share - this.spool.end);
  }

  private tailBytes(): number {
    return Math.min(MAX_TAIL_BYTES, this.spool.maxBytes * TAIL_SHARE, this.budgetBytes * TAIL_SHARE);
  }
}
