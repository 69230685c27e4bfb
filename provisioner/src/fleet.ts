import type { InstanceState } from "@shipfox/shared/provisioner";
import type { InstanceRecord } from "./control-plane/client.ts";
import type { Counts, IdleRunner } from "./policy-port.ts";
import type { Expected } from "./safety/absences.ts";

const ENDED: ReadonlySet<InstanceState> = new Set(["stopped", "failed", "terminated"]);

export function hasEnded({ state }: Pick<InstanceRecord, "state">): boolean {
  return ENDED.has(state);
}

/** A creation that this process began. Times are monotonic milliseconds. */
interface Creation {
  readonly templateKey: string;
  /** Null while the call lasts. */
  readonly endedAt: number | null;
  /** The call failed in a way that may have made the machine all the same. */
  readonly isUnsure: boolean;
}

/**
 * What is known of the instances of this pool: the control plane's records as of the last comparison, and what this process has
 * begun since. Nothing here outlives the process: all of it can be had again.
 */
export class Fleet {
  private records: Map<string, InstanceRecord> = new Map();
  private readonly creations = new Map<string, Creation>();
  /** Whose machines are known: this process had an answer to their creation, or has found them in a list. */
  private readonly met = new Set<string>();
  /** Monotonic milliseconds, by instance. */
  private readonly idleSince = new Map<string, number>();
  /** Whose deletion this process has ordered, answered or not. */
  private readonly deletions = new Set<string>();

  /** Whether the records were ever read. */
  isKnown = false;

  begin(id: string, templateKey: string): void {
    this.creations.set(id, { templateKey, endedAt: null, isUnsure: false });
  }

  /** The call ended: with a machine, or so that nobody knows. */
  made(id: string, now: number, isUnsure: boolean): void {
    const creation = this.creations.get(id);
    if (creation) this.creations.set(id, { ...creation, endedAt: now, isUnsure });
    if (!isUnsure) this.met.add(id);
  }

  /** A list shows its machine. True when no creation of this process had made it known, the first time. */
  adopt(id: string): boolean {
    const record = this.records.get(id);
    const creation = this.creations.get(id);
    const isUnderWay = creation !== undefined && !creation.isUnsure;
    if (record === undefined || hasEnded(record) || isUnderWay || this.met.has(id)) return false;
    this.met.add(id);
    return true;
  }

  /** No machine was made. */
  forget(id: string): void {
    this.creations.delete(id);
  }

  /** Creations that are older than the list and known to the records say nothing new. */
  replace(records: readonly InstanceRecord[], listedAt: number, listLagMs: number): void {
    this.isKnown = true;
    this.records = new Map(records.map((record) => [record.runner_instance_id, record]));
    const idle = new Set(records.filter(isIdle).map(({ runner_instance_id: id }) => id));
    for (const id of idle) if (!this.idleSince.has(id)) this.idleSince.set(id, listedAt);
    for (const id of this.idleSince.keys()) if (!idle.has(id)) this.idleSince.delete(id);
    for (const id of this.deletions) if (!this.records.has(id)) this.deletions.delete(id);
    for (const id of this.met) if (!this.records.has(id) && !this.creations.has(id)) this.met.delete(id);
    for (const [id, { endedAt, isUnsure }] of this.creations)
      if (endedAt !== null && !isUnsure && endedAt + listLagMs < listedAt) this.creations.delete(id);
  }

  deletionOrdered(id: string): void {
    this.deletions.add(id);
  }

  /** Its machine is gone: no list shows it, and it takes up no room. */
  deleted(id: string): void {
    const record = this.records.get(id);
    if (record && !hasEnded(record)) this.records.set(id, { ...record, state: "terminated" });
    this.creations.delete(id);
  }

  record(id: string): InstanceRecord | undefined {
    return this.records.get(id);
  }

  all(): ReadonlyMap<string, InstanceRecord> {
    return this.records;
  }

  /** Nobody wants them any more: their records end when their machines are gone. */
  unwanted(): InstanceRecord[] {
    return [...this.records.values()].filter(
      (record) =>
        !hasEnded(record) &&
        record.bound_job === null &&
        record.desired_intent === "terminate" &&
        !this.isBegun(record.runner_instance_id),
    );
  }

  /** Whose machines a whole list must show, but for those that may be missing. */
  expected(): Expected[] {
    const open = [...this.records.values()].filter((record) => !hasEnded(record));
    const ids = new Set([...open.map(({ runner_instance_id: id }) => id), ...this.creations.keys()]);
    return [...ids].map((id) => {
      const [creation, record] = [this.creations.get(id), this.records.get(id)];
      const creatingUntil = creation ? (creation.endedAt ?? Number.POSITIVE_INFINITY) : Number.NEGATIVE_INFINITY;
      // An earlier process may have been killed before it ordered one that is planned.
      const isMaybeUnmade = creation === undefined && record?.state === "planned" && !record.registered;
      const isBusy = record !== undefined && record.bound_job !== null;
      return { id, creatingUntil, isBusy, mayBeMissing: !isBusy && (isMaybeUnmade || this.deletions.has(id)) };
    });
  }

  /** Whether this process has begun its creation, and the records may not know yet what came of it. */
  isBegun(id: string): boolean {
    return this.creations.has(id);
  }

  /** Creations of which nobody knows whether they made a machine. */
  unsure(): string[] {
    return [...this.creations].filter(([, { isUnsure }]) => isUnsure).map(([id]) => id);
  }

  /** `now` is monotonic, in milliseconds. */
  counts(now: number): Map<string, Counts> {
    const counts = new Map<string, { starting: number; idle: IdleRunner[]; busy: number; leaving: number }>();
    const of = (key: string) => {
      const known = counts.get(key) ?? { starting: 0, idle: [], busy: 0, leaving: 0 };
      counts.set(key, known);
      return known;
    };
    for (const record of [...this.records.values()].sort(byId)) {
      if (hasEnded(record)) continue;
      const own = of(record.template_key);
      if (record.bound_job !== null) own.busy += 1;
      else if (record.desired_intent === "terminate" || record.claimed) own.leaving += 1;
      else if (record.registered) own.idle.push(this.idleRunner(record.runner_instance_id, now));
      else own.starting += 1;
    }
    for (const [id, { templateKey }] of this.creations) if (!this.records.has(id)) of(templateKey).starting += 1;
    return counts;
  }

  private idleRunner(id: string, now: number): IdleRunner {
    return { id, idleForMs: Math.max(0, now - (this.idleSince.get(id) ?? now)) };
  }
}

/** It could be given a job at any moment. */
function isIdle(record: InstanceRecord): boolean {
  return (
    record.registered &&
    !hasEnded(record) &&
    !record.claimed &&
    record.bound_job === null &&
    record.desired_intent === "keep"
  );
}

/** Ids are in the order of creation. */
function byId(left: InstanceRecord, right: InstanceRecord): number {
  return left.runner_instance_id < right.runner_instance_id ? -1 : 1;
}
