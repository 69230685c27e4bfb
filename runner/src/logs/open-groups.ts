import { encodeLogRecord, type WritableLogRecord } from "@shipfox/shared/log-records";

type GroupStart = Extract<WritableLogRecord, { type: "group_start" }>;

/** Which groups are open at one place of a log, outermost first. */
export class OpenGroups {
  private readonly starts: GroupStart[];

  constructor(starts: readonly GroupStart[] = []) {
    this.starts = [...starts];
  }

  copy(): OpenGroups {
    return new OpenGroups(this.starts);
  }

  become(other: OpenGroups): void {
    this.starts.splice(0, this.starts.length, ...other.starts);
  }

  /** Moves behind `record`. */
  pass(record: WritableLogRecord): void {
    if (record.type === "group_start") this.starts.push(record);
    if (record.type !== "group_end") return;
    const index = this.starts.findLastIndex((start) => start.group_id === record.group_id);
    if (index >= 0) this.starts.length = index;
  }

  /** The records that lead a reader from here to another place of the same log: ends of groups, then starts. */
  stepsTo(other: OpenGroups, now: number): { ends: string; starts: string } {
    const common = this.starts.findIndex((start, index) => start.group_id !== other.starts[index]?.group_id);
    const shared = common < 0 ? this.starts.length : common;
    const ends = this.starts
      .slice(shared)
      .reverse()
      .map(({ group_id }) => encodeLogRecord({ v: 1, ts: now, type: "group_end", group_id }));
    return { ends: ends.join(""), starts: other.starts.slice(shared).map(encodeLogRecord).join("") };
  }
}
