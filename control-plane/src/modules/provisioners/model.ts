import { labelsSatisfy } from "@shipfox/shared/labels";
import type { InstanceState } from "@shipfox/shared/provisioner";

/** Jobs that wait for the same labels and capabilities. */
export interface WaitingSet {
  readonly id: string;
  readonly labels: readonly string[];
  readonly capabilities: readonly string[];
  readonly queued: number;
}

/** What a runner is, or will be. */
export interface Ability {
  readonly labels: ReadonlySet<string>;
  readonly capabilities: ReadonlySet<string>;
}

/** Runners without a job: idle, starting, or reserved. `forSet`: those that were made for one set. */
export interface Supply extends Ability {
  readonly count: number;
  readonly forSet?: string;
}

/** A template of the provisioner that asks, and how many instances it could start now. */
export interface FreeSlots extends Ability {
  readonly key: string;
  readonly free: number;
}

export interface Demand {
  readonly set: WaitingSet;
  /** Of its jobs those for which a runner is there or on its way. */
  readonly covered: number;
  /** Instances to start for it. */
  readonly grant: number;
}

export function abilityOf({
  labels,
  capabilities,
}: {
  readonly labels: readonly string[];
  readonly capabilities: readonly string[];
}): Ability {
  return { labels: new Set(labels), capabilities: new Set(capabilities) };
}

/** What a row keeps as JSON. */
export function parsed({ labels, capabilities }: { readonly labels: string; readonly capabilities: string }) {
  return { labels: JSON.parse(labels) as string[], capabilities: JSON.parse(capabilities) as string[] };
}

export function satisfies(ability: Ability, set: Pick<WaitingSet, "labels" | "capabilities">): boolean {
  return (
    labelsSatisfy(ability.labels, set.labels) &&
    set.capabilities.every((capability) => ability.capabilities.has(capability))
  );
}

/**
 * How many instances to start for each set. A runner that is there, or on its way, serves one job: first of the set that it
 * was made for, else of the most demanding set it satisfies. What is left is granted out of the slots of the least able
 * templates first, so that the able ones stay free for those who need them. Never grants more than `max` together.
 */
export function decideDemand(
  sets: readonly WaitingSet[],
  supply: readonly Supply[],
  slots: readonly FreeSlots[],
  max: number,
): Demand[] {
  const demanding = sets
    .filter(({ queued }) => queued > 0)
    .sort((left, right) => breadth(right) - breadth(left) || (left.id < right.id ? -1 : 1));
  const open = new Map(demanding.map(({ id, queued }) => [id, queued]));
  const take = (setId: string, count: number) => {
    const taken = Math.min(count, open.get(setId) ?? 0);
    open.set(setId, (open.get(setId) ?? 0) - taken);
    return taken;
  };
  const rest = supply.map((own) => (own.forSet === undefined ? own.count : own.count - take(own.forSet, own.count)));
  for (const [index, own] of supply.entries())
    for (const set of demanding) {
      if ((rest[index] ?? 0) === 0) break;
      if (satisfies(own, set)) rest[index] = (rest[index] ?? 0) - take(set.id, rest[index] ?? 0);
    }
  const ordered = [...slots].sort(
    (left, right) => left.labels.size - right.labels.size || (left.key < right.key ? -1 : 1),
  );
  const free = new Map(ordered.map((template) => [template.key, template.free]));
  let left = max;
  return demanding.map((set) => {
    const uncovered = open.get(set.id) ?? 0;
    let grant = 0;
    for (const template of ordered) {
      if (!satisfies(template, set)) continue;
      const given = Math.min(uncovered - grant, free.get(template.key) ?? 0, left);
      free.set(template.key, (free.get(template.key) ?? 0) - given);
      left -= given;
      grant += given;
    }
    return { set, covered: set.queued - uncovered, grant };
  });
}

function breadth({ labels, capabilities }: WaitingSet): number {
  return labels.length + capabilities.length;
}

const RANKS: Readonly<Record<InstanceState, number>> = {
  planned: 0,
  starting: 1,
  running: 2,
  stopping: 3,
  stopped: 4,
  failed: 5,
  terminated: 6,
};

/** States out of which nothing comes back. */
export function hasEnded(state: InstanceState): boolean {
  return RANKS[state] >= RANKS.stopped;
}

/** Reports may come late and twice: an instance only ever goes forward, and its first end stays. */
export function decideReport(state: InstanceState, reported: InstanceState): InstanceState {
  return hasEnded(state) || RANKS[reported] <= RANKS[state] ? state : reported;
}

/** A runner is there for so long after it was last heard from: a claim that waits, and the writing of it, take half of it. */
const HEARD_MS = 180_000;

/** Whether the runner of an instance will take a job: it is wanted, has had none, and starts or was heard from lately. */
export function isComing(
  instance: {
    readonly terminate_reason: string | null;
    readonly claims_used: number | null;
    readonly session_seen_at: number | null;
    readonly session_ended_at: number | null;
  },
  now: number,
): boolean {
  if (instance.terminate_reason !== null || (instance.claims_used ?? 0) > 0) return false;
  if (instance.session_seen_at === null) return true;
  return instance.session_ended_at === null && instance.session_seen_at > now - HEARD_MS;
}
