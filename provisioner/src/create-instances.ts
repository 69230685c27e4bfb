import { type DemandReply, MAX_INSTANCES_PER_BATCH } from "@shipfox/shared/provisioner";
import PQueue from "p-queue";
import { bootRequest } from "./boot-request.ts";
import type { InstanceEvent, PlannedInstance } from "./control-plane/client.ts";
import type { Creation } from "./policy-port.ts";
import type { Template } from "./templates/template.ts";
import { asProviderError, situationOf, type World } from "./world.ts";

const PARALLEL = 16;
const SECOND_MS = 1_000;
const MAX_REASON_CHARS = 500;
/** A runner of an idle pool that ended by itself would only be replaced. */
const MIN_POOL_IDLE_MS = 60 * 60_000;

/** Turns decisions into machines: first an intent in the control plane's records, then the machine. */
export class InstanceMaker {
  private readonly world: World;
  private readonly queue = new PQueue({ concurrency: PARALLEL });
  private readonly decisions = new PQueue({ concurrency: 1 });
  private readonly signal: AbortSignal;
  private readonly settled: () => void;

  /** `settled` is called after each creation, `signal` ends those that wait. */
  constructor(world: World, signal: AbortSignal, settled: () => void) {
    this.world = world;
    this.signal = signal;
    this.settled = settled;
  }

  /**
   * Decides what to make for what was reserved and for the idle pools, and records the intents; the machines follow. One decision
   * at a time, each with all before it in its numbers. Rejects as the client does: then the next round decides anew.
   */
  async make(reservations: DemandReply["reservations"]): Promise<void> {
    await this.decisions.add(async () => {
      if (this.signal.aborted || this.world.monitor.draining || !this.world.fleet.isKnown) return;
      await this.plan(this.world.policy.create(situationOf(this.world), reservations));
    });
  }

  private async plan(creations: readonly Creation[]): Promise<void> {
    const { controlPlane, file, fleet, budgets } = this.world;
    const { provider, templates } = file();
    for (const [bootMs, group] of this.byBootTime(creations, templates)) {
      for (let start = 0; start < group.length; start += MAX_INSTANCES_PER_BATCH) {
        const batch = group.slice(start, start + MAX_INSTANCES_PER_BATCH);
        const instances = batch.map(({ template, reservationId }) => ({
          template_key: template.key,
          ...(reservationId === null ? {} : { reservation_id: reservationId }),
        }));
        const bootSeconds = Math.ceil(bootMs / SECOND_MS);
        const planned = await controlPlane.planInstances(
          { providerKind: provider.kind, bootSeconds, instances },
          this.signal,
        );
        for (const instance of planned) {
          const template = batch[instance.request_index]?.template;
          if (!template) continue;
          fleet.begin(instance.runner_instance_id, template.key);
          budgets.started(template.key, instance.runner_instance_id);
          const isForPool = batch[instance.request_index]?.reservationId === null;
          void this.queue.add(() => this.create(instance, template, isForPool));
        }
      }
    }
  }

  /** Those that were not begun are never: nobody asked the provider for them. */
  giveUpWaiting(): void {
    this.queue.clear();
  }

  /** Nothing is being planned or created. */
  get isIdle(): boolean {
    return [this.decisions, this.queue].every(({ size, pending }) => size + pending === 0);
  }

  /** Resolves when no creation is under way. */
  async idle(): Promise<void> {
    await this.queue.onIdle();
  }

  private byBootTime(creations: readonly Creation[], templates: readonly Template[]) {
    const known = new Map(templates.map((template) => [template.key, template]));
    const groups = new Map<number, { template: Template; reservationId: string | null }[]>();
    for (const { templateKey, reservationId } of creations) {
      const template = known.get(templateKey);
      if (!template) continue;
      const group = groups.get(template.bootTimeoutMs) ?? [];
      group.push({ template, reservationId });
      groups.set(template.bootTimeoutMs, group);
    }
    return groups;
  }

  /** Never rejects. */
  private async create(planned: PlannedInstance, template: Template, isForPool: boolean): Promise<void> {
    const { provider, owner, fleet, budgets, monitor, time, logger } = this.world;
    const { runner_instance_id: id } = planned;
    if (this.signal.aborted) {
      fleet.forget(id);
      return;
    }
    // The pool is kept by the daemon; this is for the day on which there is none.
    const idleLimitMs = isForPool ? Math.max(template.idleTimeoutMs, MIN_POOL_IDLE_MS) : template.idleTimeoutMs;
    const request = bootRequest({ ...owner, instance: id }, planned.registration_token, template, idleLimitMs);
    try {
      const { providerId } = await provider.create(request, this.signal);
      fleet.made(id, time.monotonic(), false);
      monitor.count("created");
      logger.info({ instance: id, template: template.key, provider_id: providerId }, "machine created");
      await this.report({ runner_instance_id: id, provider_runner_id: providerId, state: "starting" });
    } catch (error) {
      const failure = asProviderError(error);
      const facts = { instance: id, template: template.key, fault: failure.fault, error: failure.message };
      monitor.providerFailed(failure.fault);
      if (failure.mayHaveHappened) {
        fleet.made(id, time.monotonic(), true);
        budgets.providerFailed(failure);
        logger.warn(facts, "the machine may or may not have been created; the next whole list will tell");
      } else {
        fleet.forget(id);
        budgets.creationFailed(template.key, id, failure);
        logger.warn(facts, "the machine was not created");
        await this.report({
          runner_instance_id: id,
          state: "failed",
          reason: failure.message.slice(0, MAX_REASON_CHARS) || failure.fault,
        });
      }
    } finally {
      this.settled();
    }
  }

  /** A report that does not arrive is made up for by the next comparison. */
  private async report(event: InstanceEvent): Promise<void> {
    const { controlPlane, logger } = this.world;
    await controlPlane
      .report([event], this.signal)
      .catch((error: Error) =>
        logger.warn({ instance: event.runner_instance_id, error: error.message }, "a report did not arrive"),
      );
  }
}
