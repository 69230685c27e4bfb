import type { InstanceRecord } from "../control-plane/client.ts";
import type { InstanceTags, ObservedMachine } from "../drivers/driver.ts";

export interface Ours extends ObservedMachine {
  readonly tags: InstanceTags;
}

/** What is done with each machine of a list that was read whole. Each is in one of them at most. */
export interface Decision {
  /** They are over: their console is read, their end reported, then they are deleted. */
  readonly bury: readonly Ours[];
  /** They run, and nobody needs them: deleted as fast as the limit on deletions lets us. */
  readonly remove: readonly Ours[];
  /** They are wanted, or have a job, and the records know less of them than the list. */
  readonly adopt: readonly Ours[];
  /** Over, while the control plane still waits for their job: only reported. */
  readonly mourn: readonly Ours[];
  /** Of another controller or pool, or without tags: never touched. */
  readonly foreign: readonly ObservedMachine[];
  /** Ours by their tags, but in no record, or not the machine of that record: somebody copied the tags. Never touched. */
  readonly unknown: readonly ObservedMachine[];
}

/**
 * The only place that chooses machines to delete. Deleted is what carries exactly our three tags, is the one machine of an
 * instance in the control plane's records, has no job, and is either over or not wanted any more.
 */
export function decideMachines(
  owner: Omit<InstanceTags, "instance">,
  machines: readonly ObservedMachine[],
  records: ReadonlyMap<string, InstanceRecord>,
): Decision {
  const decision = {
    bury: [] as Ours[],
    remove: [] as Ours[],
    adopt: [] as Ours[],
    mourn: [] as Ours[],
    foreign: machines.filter((machine) => !isOurs(owner, machine)),
    unknown: [] as ObservedMachine[],
  };
  const ours = machines.filter((machine) => isOurs(owner, machine));
  const original = new Set(originals(ours, records));
  for (const machine of ours) {
    const record = records.get(machine.tags.instance);
    const kind = record === undefined || !original.has(machine) ? "unknown" : fateOf(machine, record);
    if (kind !== null) decision[kind].push(machine);
  }
  return decision;
}

/**
 * Of the machines with our tags those that are no copies. The record of an instance knows the provider's id of its machine, unless
 * the answer to the creation was lost: then the machine is the only one with its tags, and of two neither can be trusted.
 */
export function originals(machines: readonly Ours[], records: ReadonlyMap<string, InstanceRecord>): readonly Ours[] {
  const withTags = new Map<string, number>();
  for (const { tags } of machines) withTags.set(tags.instance, (withTags.get(tags.instance) ?? 0) + 1);
  return machines.filter(({ providerId, tags }) => {
    const known = records.get(tags.instance)?.provider_runner_id ?? null;
    return known === null ? withTags.get(tags.instance) === 1 : known === providerId;
  });
}

export function isOurs(owner: Omit<InstanceTags, "instance">, machine: ObservedMachine): machine is Ours {
  return machine.tags?.controller === owner.controller && machine.tags.pool === owner.pool;
}

function fateOf(machine: Ours, record: InstanceRecord): "bury" | "remove" | "adopt" | "mourn" | null {
  const isOver = machine.state === "stopped";
  if (record.bound_job !== null) return isOver ? "mourn" : adoption(machine, record);
  if (isOver) return "bury";
  if (record.desired_intent === "terminate") return machine.state === "stopping" ? null : "remove";
  return adoption(machine, record);
}

const BEFORE: Readonly<Record<"starting" | "running" | "stopping", readonly string[]>> = {
  starting: ["planned"],
  running: ["planned", "starting"],
  stopping: ["planned", "starting", "running"],
};

function adoption(machine: Ours, record: InstanceRecord): "adopt" | null {
  if (machine.state === "stopped") return null;
  const isNews = BEFORE[machine.state].includes(record.state) || record.provider_runner_id === null;
  return isNews ? "adopt" : null;
}
