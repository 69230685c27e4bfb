import { encodeLogRecord } from "@shipfox/shared/log-records";
import type { FramedRecord } from "./framing.ts";
import { OpenGroups } from "./open-groups.ts";

/** Dropped places in front of the array are given back when there are this many. */
const COMPACT_RECORDS = 4096;

interface HeldRecord extends FramedRecord {
  readonly bytes: number;
}

/** The newest records of a log in memory, while what is older waits or was dropped; counts exactly what it drops. */
export class LogTail {
  private records: HeldRecord[] = [];
  private first = 0;
  private heldBytes = 0;
  private droppedBytes = 0;
  private readonly openBefore: OpenGroups;
  private readonly openHere: OpenGroups;

  /** `openBefore`: the groups that are open where the tail begins. */
  constructor(openBefore: OpenGroups) {
    this.openBefore = openBefore.copy();
    this.openHere = openBefore.copy();
  }

  /** Size of what is held, in bytes of the log. */
  get bytes(): number {
    return this.heldBytes;
  }

  /** Adds a record and drops the oldest until at most `maxBytes` are held. */
  push(record: FramedRecord, maxBytes: number): void {
    const bytes = Buffer.byteLength(record.encoded);
    this.records.push({ ...record, bytes });
    this.heldBytes += bytes;
    this.shrink(maxBytes);
  }

  shrink(maxBytes: number): void {
    while (this.heldBytes > maxBytes) this.dropOldest();
  }

  /** What continues the log: the `gap` with the payload bytes that were dropped, if any were, then all that is held. */
  encode(now: number): string {
    const { ends, starts } = this.openBefore.stepsTo(this.openHere, now);
    const gap =
      this.droppedBytes === 0 ? "" : encodeLogRecord({ v: 1, ts: now, type: "gap", dropped_bytes: this.droppedBytes });
    const held = this.records.slice(this.first).map(({ encoded }) => encoded);
    return ends + gap + starts + held.join("");
  }

  /** Moves `groups`, those open where the tail began, behind it. */
  passInto(groups: OpenGroups): void {
    groups.become(this.openHere);
    for (const { record } of this.records.slice(this.first)) groups.pass(record);
  }

  private dropOldest(): void {
    const oldest = this.records[this.first] as HeldRecord;
    this.first += 1;
    this.heldBytes -= oldest.bytes;
    this.droppedBytes += oldest.payloadBytes;
    this.openHere.pass(oldest.record);
    if (this.first < COMPACT_RECORDS) return;
    this.records = this.records.slice(this.first);
    this.first = 0;
  }
}
