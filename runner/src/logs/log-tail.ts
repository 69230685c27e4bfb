import { encodeLogRecord } from "@shipfox/shared/log-records";
import type { FramedRecord } from "./framing.ts";
import type { OpenGroups } from "./open-groups.ts";

const FIRST_INDEX_RECORDS = 1024;

/**
 * The newest records of a log in memory, while what is older waits or was dropped; counts exactly what it drops. The lines
 * lie in one ring of bytes: millions of texts that live for a second each would fill the heap faster than it is swept.
 */
export class LogTail {
  private readonly ring: Buffer;
  /** Where the oldest line begins in the ring. */
  private start = 0;
  private heldBytes = 0;
  private droppedBytes = 0;
  /** Of each held record, by its number modulo the length: the size of its line, and of its payload. */
  private lineBytes = new Uint32Array(FIRST_INDEX_RECORDS);
  private payloadBytes = new Uint32Array(FIRST_INDEX_RECORDS);
  private oldest = 0;
  private next = 0;
  /** The held records that open or close a group, by their numbers. */
  private readonly groups = new Map<number, FramedRecord["record"]>();
  private readonly openBefore: OpenGroups;
  private readonly openHere: OpenGroups;

  /** `openBefore`: the groups that are open where the tail begins. */
  constructor(openBefore: OpenGroups, capacityBytes: number) {
    this.ring = Buffer.allocUnsafeSlow(capacityBytes);
    this.openBefore = openBefore.copy();
    this.openHere = openBefore.copy();
  }

  /** Size of what is held, in bytes of the log. */
  get bytes(): number {
    return this.heldBytes;
  }

  /** Adds a record and drops the oldest until at most `maxBytes`, and no more than the capacity, are held. */
  push({ record, encoded, payloadBytes }: FramedRecord, maxBytes: number): void {
    const length = Buffer.byteLength(encoded);
    const limit = Math.min(maxBytes, this.ring.length);
    // One that is too long by itself goes the way of all others: what is older is dropped before it.
    this.shrink(Math.max(0, limit - length));
    if (length > limit) {
      this.drop(payloadBytes, record);
      return;
    }
    this.write(encoded, length);
    if (this.next - this.oldest === this.lineBytes.length) this.growIndex();
    this.lineBytes[this.next % this.lineBytes.length] = length;
    this.payloadBytes[this.next % this.payloadBytes.length] = payloadBytes;
    if (record.type !== "output") this.groups.set(this.next, record);
    this.next += 1;
    this.heldBytes += length;
  }

  shrink(maxBytes: number): void {
    while (this.heldBytes > maxBytes) this.dropOldest();
  }

  /** What continues the log: the `gap` with the payload bytes that were dropped, if any were, then all that is held. */
  encode(now: number): Buffer {
    const { ends, starts } = this.openBefore.stepsTo(this.openHere, now);
    const gap =
      this.droppedBytes === 0 ? "" : encodeLogRecord({ v: 1, ts: now, type: "gap", dropped_bytes: this.droppedBytes });
    const unwrapped = Math.min(this.heldBytes, this.ring.length - this.start);
    return Buffer.concat([
      Buffer.from(ends + gap + starts),
      this.ring.subarray(this.start, this.start + unwrapped),
      this.ring.subarray(0, this.heldBytes - unwrapped),
    ]);
  }

  /** Moves `groups`, those open where the tail began, behind it. */
  passInto(groups: OpenGroups): void {
    groups.become(this.openHere);
    for (const record of this.groups.values()) groups.pass(record);
  }

  private write(encoded: string, length: number): void {
    const at = (this.start + this.heldBytes) % this.ring.length;
    const toTheEnd = this.ring.length - at;
    if (length <= toTheEnd) {
      this.ring.write(encoded, at);
      return;
    }
    const line = Buffer.from(encoded);
    line.copy(this.ring, at, 0, toTheEnd);
    line.copy(this.ring, 0, toTheEnd);
  }

  private dropOldest(): void {
    const index = this.oldest % this.lineBytes.length;
    const length = this.lineBytes[index] as number;
    this.start = (this.start + length) % this.ring.length;
    this.heldBytes -= length;
    this.drop(this.payloadBytes[index] as number, this.groups.get(this.oldest));
    this.groups.delete(this.oldest);
    this.oldest += 1;
  }

  private drop(payloadBytes: number, record: FramedRecord["record"] | undefined): void {
    this.droppedBytes += payloadBytes;
    if (record !== undefined) this.openHere.pass(record);
  }

  private growIndex(): void {
    const [lines, payloads] = [this.lineBytes, this.payloadBytes];
    this.lineBytes = new Uint32Array(lines.length * 2);
    this.payloadBytes = new Uint32Array(lines.length * 2);
    for (let number = this.oldest; number < this.next; number += 1) {
      this.lineBytes[number % this.lineBytes.length] = lines[number % lines.length] as number;
      this.payloadBytes[number % this.payloadBytes.length] = payloads[number % payloads.length] as number;
    }
  }
}
