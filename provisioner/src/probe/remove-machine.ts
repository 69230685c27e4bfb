import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "@shipfox/shared/backoff";
import type { ControlPlane, InstanceEvent, InstanceRecord } from "../control-plane/client.ts";
import { type InstanceTags, MAX_CONSOLE_CHARS } from "../drivers/driver.ts";
import { decideMachines } from "../safety/decide-machines.ts";
import type { ProbeWorld, Trial } from "./probe-world.ts";

const LIMIT_MS = 90_000;
const MAX_REASON_CHARS = 500;

export interface Removal {
  readonly console: string | null;
  readonly leftBehind: string | null;
}

/**
 * Takes the instance out of service, removes its machine by the rules of the daemon, and ends its record. Repeated while something
 * does not answer, for 90 seconds at most; a daemon does it then. Never rejects.
 */
export async function removeMachine(world: ProbeWorld, tags: InstanceTags, trial: Trial): Promise<Removal> {
  const limit = AbortSignal.timeout(LIMIT_MS);
  const backoff = new Backoff();
  let console: string | null = null;
  let why = "";
  while (!limit.aborted) {
    try {
      await world.controlPlane.drain([tags.instance], limit);
      const step = trial.mayExist ? await removeListed(world, tags, trial, limit) : { isGone: true, console: null };
      console = step.console ?? console;
      if (step.isGone) {
        await world.controlPlane.report([endOf(tags.instance, trial, console)], limit);
        return { console, leftBehind: null };
      }
      why = "the provider still lists it, or may list it yet";
    } catch (error) {
      why = (error as Error).message;
    }
    await sleep(backoff.next(), undefined, { signal: limit }).catch(() => {});
  }
  return { console, leftBehind: `its machine may still be there (${why}); the provisioner removes it when it runs` };
}

async function removeListed(
  { controlPlane, provider, owner }: ProbeWorld,
  tags: InstanceTags,
  { fault, hiddenUntil }: Trial,
  limit: AbortSignal,
): Promise<{ isGone: boolean; console: string | null }> {
  const listedAt = performance.now();
  const listed = await provider.list(owner, limit);
  const mine = listed.filter((machine) => machine.tags?.instance === tags.instance);
  if (mine.length === 0) return { isGone: listedAt >= hiddenUntil, console: null };
  const record = await readRecord(controlPlane, tags.instance, limit);
  const records = new Map(record ? [[tags.instance, record]] : []);
  const { bury, remove } = decideMachines(owner, mine, records);
  let console: string | null = null;
  for (const machine of [...bury, ...remove]) {
    if (fault !== null) console = await provider.readConsole(machine.providerId, limit).catch(() => null);
    await provider.delete({ providerId: machine.providerId, tags: machine.tags }, limit);
  }
  return { isGone: bury.length + remove.length === mine.length, console };
}

/** What is recorded of an instance that is open; undefined once it has ended. An empty list is no news: it is how records are read. */
export async function readRecord(
  controlPlane: Pick<ControlPlane, "reconcile">,
  id: string,
  signal: AbortSignal,
): Promise<InstanceRecord | undefined> {
  const { runners } = await controlPlane.reconcile({ observed: [], confirmedEmpty: false }, signal);
  return runners.find(({ runner_instance_id: other }) => other === id);
}

function endOf(id: string, { fault }: Trial, console: string | null): InstanceEvent {
  if (fault === null) return { runner_instance_id: id, state: "terminated" };
  return {
    runner_instance_id: id,
    state: "failed",
    reason: `validate: ${fault}`.slice(0, MAX_REASON_CHARS),
    ...(console === null ? {} : { console_tail: console.slice(-MAX_CONSOLE_CHARS) }),
  };
}
