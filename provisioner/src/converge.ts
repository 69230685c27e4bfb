import { isId } from "@shipfox/shared/ids";
import { MAX_CONSOLE_TAIL_CHARS, MAX_OBSERVED_INSTANCES } from "@shipfox/shared/provisioner";
import PQueue from "p-queue";
import { RateLimit } from "./budget/rate-limit.ts";
import type { InstanceEvent, InstanceRecord } from "./control-plane/client.ts";
import { hasEnded } from "./fleet.ts";
import { type Judged, judgeAbsences, NO_ABSENCES } from "./safety/absences.ts";
import { decideMachines, isOurs, originals, type Ours } from "./safety/decide-machines.ts";
import { Losses } from "./safety/losses.ts";
import { asProviderError, situationOf, type World } from "./world.ts";

const MINUTE_MS = 60_000;
const MAX_REASON_CHARS = 500;
/** Machines that one round takes away; the next round comes soon. */
const MAX_DELETIONS_PER_ROUND = 200;
/** Calls of the provider that a round makes side by side. */
const PARALLEL = 8;

/**
 * One comparison of what the provider has with what is recorded, and what follows from it. Everything that is ever deleted is
 * deleted here, out of a list that was read whole a moment ago.
 */
export class Converge {
  private readonly world: World;
  private absences = NO_ABSENCES;
  private readonly losses = new Losses();
  private readonly deletions = new RateLimit(MINUTE_MS);
  private readonly calls = new PQueue({ concurrency: PARALLEL });
  /** Whose registration or failed boot was counted already. */
  private readonly judged = new Set<string>();

  constructor(world: World) {
    this.world = world;
  }

  /**
   * Answers how many machines of the list are over or unwanted and still there. Rejects as the client and the provider do; then
   * nothing of the list was believed.
   */
  async round(signal: AbortSignal): Promise<number> {
    const { world } = this;
    const { controlPlane, fleet, provider, owner, monitor, time, budgets } = world;
    // An empty list that is not confirmed changes nothing: it is how the records are read.
    if (!fleet.isKnown) {
      const { runners } = await controlPlane.reconcile({ observed: [], confirmedEmpty: false }, signal);
      fleet.replace(runners, time.monotonic(), provider.listLagMs);
    }
    const startedAt = time.monotonic();
    const machines = await provider.list(owner, signal);
    budgets.providerAnswered();
    monitor.lastListAt = time.now();
    monitor.count("lists");
    const ours = machines.filter((machine) => isOurs(owner, machine));
    const observed = new Set(originals(ours, fleet.all()).map(({ tags }) => tags.instance));
    const judged = judgeAbsences(this.absences, {
      expected: fleet.expected(),
      observed,
      startedAt,
      listLagMs: provider.listLagMs,
    });
    this.noteDoubts(judged);
    const present = [...new Set([...observed, ...judged.doubted])].filter(isId);
    if (present.length > MAX_OBSERVED_INSTANCES)
      throw new Error(`the provider has ${present.length} machines of this pool, more than can be compared`);
    const former = fleet.all();
    const { runners, terminated_absent_runner_instance_ids: absent } = await controlPlane.reconcile(
      { observed: present, confirmedEmpty: judged.confirmedEmpty },
      signal,
    );
    this.absences = judged.absences;
    fleet.replace(runners, startedAt, provider.listLagMs);
    this.noteLosses(former, absent);
    this.noteLostBoots(former, absent);
    await this.endUnmade(judged.gone, signal);
    await this.endVanished(judged.gone, signal);
    const left = await this.act(machines, ours, startedAt, signal);
    this.dropLostTrials();
    await this.drainSurplus(signal);
    return left;
  }

  /** Says once when a list is not believed, and once when all is well again. */
  private noteDoubts({ doubted, suspicious }: Judged): void {
    const { monitor, logger } = this.world;
    monitor.doubted = doubted.size;
    if (suspicious === 0) return;
    monitor.count("doubted_lists");
    logger.warn(
      { missing: suspicious },
      "machines are missing from the provider's list; nothing is ended until that is confirmed",
    );
  }

  /** Without a fallback a template that loses machines is still the best there is. */
  private noteLosses(former: ReadonlyMap<string, InstanceRecord>, absent: readonly string[]): void {
    const { fleet, file, budgets, monitor, logger } = this.world;
    for (const { runner_instance_id: id, template_key: key } of this.losses.find(fleet.all(), former, absent)) {
      monitor.count("lost");
      logger.warn({ instance: id, template: key }, "a machine was taken away from its job, which runs elsewhere");
      const template = file().templates.find((one) => one.key === key);
      if (template && template.fallback !== null)
        budgets.machineLost(key, id, `instance ${id}: its machine was taken away from its job`);
    }
  }

  /** A machine that is gone before its runner registered is a boot that failed, whoever took it away. */
  private noteLostBoots(former: ReadonlyMap<string, InstanceRecord>, absent: readonly string[]): void {
    for (const record of absent.flatMap((id) => former.get(id) ?? []))
      if (isBootFailure(record)) this.bootFailed(record, "its machine was gone before its runner registered");
  }

  /** A trial that nothing is heard of any more would keep its template shut for ever. */
  private dropLostTrials(): void {
    const { fleet, budgets } = this.world;
    for (const { key, instance } of budgets.trials()) {
      const record = fleet.record(instance);
      if (!fleet.isBegun(instance) && (record === undefined || hasEnded(record))) budgets.ended(key, instance);
    }
  }

  /** Creations that failed without an answer, and whose machine no list shows. */
  private async endUnmade(gone: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const { fleet, controlPlane } = this.world;
    const unmade = fleet.unsure().filter((id) => gone.has(id));
    if (unmade.length === 0) return;
    const reason = "the provider did not answer its creation, and has no such machine";
    await controlPlane.report(
      unmade.map((id) => ({ runner_instance_id: id, state: "failed" as const, reason })),
      signal,
    );
    // It says nothing of their template that the provider did not answer: another may try.
    for (const id of unmade) this.hasGone(id);
  }

  /** Nobody wants them: their deletion was not answered, or they ended by themselves. They take up no room any more. */
  private async endVanished(vanished: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const { fleet, controlPlane } = this.world;
    // The order of an earlier process may still be under way for one that is planned: the control plane gives it a minute.
    const gone = fleet
      .unwanted()
      .filter(({ runner_instance_id: id, state }) => vanished.has(id) && state !== "planned");
    if (gone.length === 0) return;
    await controlPlane.report(
      gone.map((record) => this.endOf(record)),
      signal,
    );
    for (const { runner_instance_id: id } of gone) this.hasGone(id);
  }

  private async act(
    machines: Parameters<typeof decideMachines>[1],
    ours: readonly Ours[],
    startedAt: number,
    signal: AbortSignal,
  ): Promise<number> {
    const { fleet, owner, monitor, budgets, controlPlane, logger, provider } = this.world;
    const decision = decideMachines(owner, machines, fleet.all());
    if (decision.foreign.length + decision.unknown.length > monitor.foreign + monitor.unknown)
      logger.warn(
        { machines: [...decision.foreign, ...decision.unknown].map(({ providerId }) => providerId).slice(0, 20) },
        "machines that are not in our records are left alone",
      );
    monitor.foreign = decision.foreign.length;
    monitor.unknown = decision.unknown.length;
    const present = new Set(ours.map(({ tags }) => tags.instance));
    for (const { tags } of originals(ours, fleet.all())) if (fleet.adopt(tags.instance)) monitor.count("adopted");
    // A creation that nobody was sure of has a machine after all.
    for (const id of fleet.unsure()) if (present.has(id)) fleet.made(id, startedAt - provider.listLagMs, false);
    for (const [id, record] of fleet.all())
      if (record.registered && !this.judged.has(id)) {
        this.judged.add(id);
        budgets.registered(record.template_key, id);
      }
    for (const id of this.judged) if (!fleet.record(id)) this.judged.delete(id);
    const news: InstanceEvent[] = decision.adopt.map((machine) => ({
      runner_instance_id: machine.tags.instance,
      provider_runner_id: machine.providerId,
      state: machine.state === "stopped" ? "stopping" : machine.state,
    }));
    const over = [...decision.mourn, ...decision.bury];
    news.push(...(await this.each(over, (machine) => this.obituary(machine, signal))).flat());
    if (news.length > 0) await controlPlane.report(news, signal);
    const buried = await this.each(decision.bury.slice(0, MAX_DELETIONS_PER_ROUND), (machine) =>
      this.remove(machine, signal),
    );
    const removed = await this.removeUnwanted(decision.remove, signal);
    const deleted = [...buried, ...removed].filter((isDeleted) => isDeleted).length;
    return over.length + decision.remove.length - deleted;
  }

  /** What is told of a machine that is over; nothing when its end is known. */
  private async obituary(machine: Ours, signal: AbortSignal): Promise<InstanceEvent[]> {
    const record = this.world.fleet.record(machine.tags.instance);
    if (!record || hasEnded(record)) return [];
    const consoleTail = await this.consoleOf(machine, signal);
    const told = consoleTail === null ? {} : { console_tail: consoleTail };
    const common = { runner_instance_id: machine.tags.instance, provider_runner_id: machine.providerId, ...told };
    if (record.registered) return [{ ...common, state: "stopped" }];
    // An earlier process ordered it, and was killed, maybe before it had started it: that says nothing of the template.
    const isAbandoned = record.state === "planned" && !this.world.fleet.isBegun(record.runner_instance_id);
    const reason = isAbandoned
      ? "its provisioner ended before it knew whether the machine had started"
      : this.bootFailed(record, "its machine ended before its runner registered");
    return [{ ...common, state: "failed", reason }];
  }

  private bootFailed(record: InstanceRecord, why: string): string {
    const { budgets, monitor, logger } = this.world;
    const id = record.runner_instance_id;
    if (!this.judged.has(id)) {
      this.judged.add(id);
      monitor.count("boot_failures");
      budgets.bootFailed(record.template_key, id, `instance ${id}: ${why}`);
      logger.warn({ instance: id, template: record.template_key }, why);
    }
    return why.slice(0, MAX_REASON_CHARS);
  }

  /** Machines that have had their job are as good as over: the limit is for what could still be needed. */
  private async removeUnwanted(machines: readonly Ours[], signal: AbortSignal): Promise<boolean[]> {
    const { file, time, monitor, fleet } = this.world;
    const isDone = ({ tags }: Ours) => fleet.record(tags.instance)?.claimed === true;
    const done = machines.filter(isDone);
    const others = machines.filter((machine) => !isDone(machine));
    const left = this.deletions.left(file().limits.maxDeletionsPerMinute, time.monotonic());
    monitor.deletionsWaiting = Math.max(0, others.length - left);
    const unneeded = others.slice(0, Math.min(left, MAX_DELETIONS_PER_ROUND));
    for (let count = 0; count < unneeded.length; count += 1) this.deletions.note(time.monotonic());
    return this.each([...done.slice(0, MAX_DELETIONS_PER_ROUND), ...unneeded], (machine) =>
      this.removeRunning(machine, signal),
    );
  }

  private async removeRunning(machine: Ours, signal: AbortSignal): Promise<boolean> {
    const { fleet, controlPlane } = this.world;
    const record = fleet.record(machine.tags.instance);
    if (!record) return false;
    const consoleTail = isBootFailure(record) ? await this.consoleOf(machine, signal) : null;
    if (!(await this.remove(machine, signal))) return false;
    if (hasEnded(record)) return true;
    const end = { ...this.endOf(record), provider_runner_id: machine.providerId };
    await controlPlane.report([consoleTail === null ? end : { ...end, console_tail: consoleTail }], signal);
    return true;
  }

  /** What is told of a machine that ran when it was deleted. */
  private endOf(record: InstanceRecord): InstanceEvent {
    const { runner_instance_id } = record;
    if (!isBootFailure(record)) return { runner_instance_id, state: "terminated" };
    const reason = this.bootFailed(record, "its runner did not register in time");
    return { runner_instance_id, state: "failed", reason };
  }

  /** Side by side, because one after another the end of a large pool would take minutes. All are done before a failure is told. */
  private async each<Result>(machines: readonly Ours[], act: (machine: Ours) => Promise<Result>): Promise<Result[]> {
    const results = await Promise.allSettled(machines.map((machine) => this.calls.add(() => act(machine))));
    return results.map((result) => {
      if (result.status === "rejected") throw result.reason;
      return result.value;
    });
  }

  /** False when the provider did not take the order; the next round tries again. */
  private async remove({ providerId, tags }: Ours, signal: AbortSignal): Promise<boolean> {
    const { provider, fleet, monitor, budgets, logger } = this.world;
    fleet.deletionOrdered(tags.instance);
    try {
      await provider.delete({ providerId, tags }, signal);
      monitor.count("deleted");
      this.hasGone(tags.instance);
      logger.info({ instance: tags.instance, provider_id: providerId }, "machine deleted");
      return true;
    } catch (error) {
      const failure = asProviderError(error);
      monitor.providerFailed(failure.fault);
      budgets.providerFailed(failure);
      logger.warn({ instance: tags.instance, provider_id: providerId, error: failure.message }, "machine not deleted");
      return false;
    }
  }

  private hasGone(id: string): void {
    const { fleet, budgets } = this.world;
    fleet.deleted(id);
    const key = fleet.record(id)?.template_key;
    if (key !== undefined) budgets.ended(key, id);
  }

  private async consoleOf({ providerId }: Ours, signal: AbortSignal): Promise<string | null> {
    const text = await this.world.provider.readConsole(providerId, signal).catch(() => null);
    return text === null ? null : text.slice(-MAX_CONSOLE_TAIL_CHARS);
  }

  private async drainSurplus(signal: AbortSignal): Promise<void> {
    const { monitor, policy, controlPlane, fleet } = this.world;
    const situation = situationOf(this.world);
    const known = new Set(situation.file.templates.map(({ key }) => key));
    const idle = [...situation.counts].flatMap(([key, counts]) =>
      monitor.draining || !known.has(key) ? counts.idle.map(({ id }) => id) : [],
    );
    const starting = [...fleet.all().values()]
      .filter((one) => !hasEnded(one) && !one.registered && one.desired_intent === "keep")
      .filter((one) => monitor.draining || !known.has(one.template_key))
      .map(({ runner_instance_id: id }) => id);
    const ids = [...new Set([...idle, ...starting, ...(monitor.draining ? [] : policy.surplus(situation))])];
    if (ids.length > 0) await controlPlane.drain(ids.slice(0, 1_000), signal);
  }
}

function isBootFailure(record: InstanceRecord): boolean {
  return !record.registered && !hasEnded(record) && record.state !== "planned";
}
