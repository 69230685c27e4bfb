import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "@shipfox/shared/backoff";
import type { ControlPlane, InstanceEvent, InstanceRecord } from "../control-plane/client.ts";
import { type InstanceTags, MAX_CONSOLE_CHARS, type ObservedMachine } from "../drivers/driver.ts";
import { judgeAbsences, NO_ABSENCES } from "../safety/absences.ts";
import { decideMachines } from "../safety/decide-machines.ts";
import type { ProbeWorld, Trial } from "./probe-world.ts";

const LIMIT_MS = 90_000;
const MAX_REASON_CHARS = 500;

export interface Removal {
  readonly console: string | null;
  readonly leftBehind: string | null;
}

interface Step {
  readonly isGone: boolean;
  readonly console: string | null;
}

/**
 * Takes the instance out of service, removes its machine, and ends its record. Repeated while something does not answer, for 90
 * seconds at most, and for as long as lists lag behind; a daemon does it then. Never rejects.
 */
export async function removeMachine(world: ProbeWorld, tags: InstanceTags, trial: Trial): Promise<Removal> {
  const limit = AbortSignal.timeout(LIMIT_MS + world.provider.listLagMs);
  const backoff = new Backoff();
  const search = new Search(world, tags, trial);
  let console: string | null = null;
  let why = "";
  while (!limit.aborted) {
    try {
      const { busy } = await world.controlPlane.drain([tags.instance], limit);
      if (busy.length > 0) throw new Error("it has a job");
      const step = await removeIfMade(world, tags, trial, search, limit);
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

/** A machine whose id is known is removed by it: a list could hide it. */
async function removeIfMade(
  { provider }: ProbeWorld,
  tags: InstanceTags,
  { fault, mayExist, providerId }: Trial,
  search: Search,
  limit: AbortSignal,
): Promise<Step> {
  if (!mayExist) return { isGone: true, console: null };
  if (providerId === null) return search.removeListed(limit);
  const console = fault === null ? null : await provider.readConsole(providerId, limit).catch(() => null);
  await provider.delete({ providerId, tags }, limit);
  return { isGone: true, console };
}

/** Looks in the provider's lists for a machine that may have been made, and removes it by the rules of the daemon. */
class Search {
  readonly #world: ProbeWorld;
  readonly #tags: InstanceTags;
  readonly #trial: Trial;
  #absences = NO_ABSENCES;

  constructor(world: ProbeWorld, tags: InstanceTags, trial: Trial) {
    this.#world = world;
    this.#tags = tags;
    this.#trial = trial;
  }

  async removeListed(limit: AbortSignal): Promise<Step> {
    const { controlPlane, provider, owner } = this.#world;
    const { instance } = this.#tags;
    const startedAt = performance.now();
    const listed = await provider.list(owner, limit);
    const mine = listed.filter((machine) => machine.tags?.instance === instance);
    if (mine.length === 0) return { isGone: this.#isGone(listed, startedAt), console: null };
    const record = await readRecord(controlPlane, instance, limit);
    const records = new Map(record ? [[instance, record]] : []);
    const { bury, remove } = decideMachines(owner, mine, records);
    let console: string | null = null;
    for (const machine of [...bury, ...remove]) {
      if (this.#trial.fault !== null) console = await provider.readConsole(machine.providerId, limit).catch(() => null);
      await provider.delete({ providerId: machine.providerId, tags: machine.tags }, limit);
    }
    return { isGone: bury.length + remove.length === mine.length, console };
  }

  #isGone(listed: readonly ObservedMachine[], startedAt: number): boolean {
    const { listLagMs } = this.#world.provider;
    const creatingUntil = this.#trial.hiddenUntil - listLagMs;
    const expected = [{ id: this.#tags.instance, creatingUntil, isBusy: false, mayBeMissing: false }];
    const observed = new Set(listed.flatMap(({ tags }) => tags?.instance ?? []));
    const judged = judgeAbsences(this.#absences, { expected, observed, startedAt, listLagMs });
    this.#absences = judged.absences;
    return judged.gone.has(this.#tags.instance);
  }
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
