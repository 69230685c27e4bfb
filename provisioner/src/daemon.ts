import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "@shipfox/shared/backoff";
import { retryAfterOf } from "@shipfox/shared/call-error";
import { isTokenRefused, otherHolder } from "./control-plane/client.ts";
import { Converge } from "./converge.ts";
import { InstanceMaker } from "./create-instances.ts";
import { demandRound } from "./demand.ts";
import { ProviderError } from "./drivers/driver.ts";
import { hasEnded } from "./fleet.ts";
import { jittered, Waker } from "./loop.ts";
import type { World } from "./world.ts";

/** A reader of the pool tries so often to become the one who works. */
const HELD_PAUSE_MS = 10_000;
/** Between polls that are answered at once: what is on its way changes no faster. */
const BUSY_PAUSE_MS = 500;
/** Until it is known what there is: the comparison that finds out wakes. */
const UNKNOWN_PAUSE_MS = 5_000;
/** A machine that starts or goes is looked at again soon. */
const SOON_MS = 2_000;
const LET_GO_LIMIT_MS = 5_000;
const STOP_LIMIT_MS = 70_000;

export type End = "stopped" | "drained" | "token-refused";

/**
 * The two loops: demand turns jobs into machines, converge compares what is there with what should be and removes what is over.
 * Each fails and waits by itself; a provider that is down keeps nobody from being told why.
 */
export class Daemon {
  private readonly world: World;
  private readonly convergeMs: number;
  private readonly stopping = new AbortController();
  private readonly demand = new Waker();
  private readonly converge = new Waker();
  private readonly known = new Set<string>();
  private readonly comparison: Converge;
  private end: End = "stopped";

  constructor(world: World, options: { readonly convergeMs: number }) {
    this.world = world;
    this.convergeMs = options.convergeMs;
    this.comparison = new Converge(world);
  }

  /** Until it is stopped, drained, or its token is refused. */
  async run(): Promise<End> {
    const calls = new AbortController();
    const maker = new InstanceMaker(this.world, calls.signal, () => this.converge.wake());
    const { signal } = this.stopping;
    await Promise.all([
      this.repeat("demand", this.demand, signal, () => this.demandOnce(maker, signal)),
      this.repeat("converge", this.converge, signal, () => this.convergeOnce(maker, signal)),
    ]);
    maker.giveUpWaiting();
    await Promise.race([maker.idle(), sleep(STOP_LIMIT_MS, undefined, { ref: false })]);
    calls.abort();
    // A watcher's call that was under way when it was drained may have got the pool at that moment.
    const mayHold = this.world.monitor.heldBy === null || this.end === "drained";
    if (this.end !== "token-refused" && mayHold) await this.letGo();
    return this.end;
  }

  /** Makes nothing more and leaves the machines as they are. */
  stop(): void {
    this.stopping.abort();
  }

  /** Removes what has no job, waits for what has one, then ends; at once while the machines are another daemon's. */
  drain(): void {
    const { monitor, logger } = this.world;
    if (monitor.draining) return;
    monitor.draining = true;
    if (monitor.heldBy !== null) {
      this.endDrained();
      return;
    }
    logger.info("draining: no machine is made any more, and those with a job are waited for");
    this.wake();
  }

  /** Something changed that both loops should see: the templates file. */
  wake(): void {
    this.demand.wake();
    this.converge.wake();
  }

  /** How long to wait before the next poll. */
  private async demandOnce(maker: InstanceMaker, signal: AbortSignal): Promise<number> {
    const { unwanted, hasWaited } = await demandRound(this.world, maker, signal);
    const isNews = unwanted.some((id) => !this.known.has(id));
    this.known.clear();
    for (const id of unwanted) this.known.add(id);
    if (isNews) this.converge.wake();
    if (unwanted.length > 0) return BUSY_PAUSE_MS;
    return hasWaited ? 0 : UNKNOWN_PAUSE_MS;
  }

  private async convergeOnce(maker: InstanceMaker, signal: AbortSignal): Promise<number> {
    const { monitor, fleet } = this.world;
    const slotsBefore = this.room();
    // What is planned during a round may be in no record of it: only one that began after the last plan sees all there is.
    const isLast = monitor.draining && maker.isIdle;
    const machinesLeft = await this.comparison.round(signal);
    // The idle pools are filled here too: the other loop may wait for jobs for half a minute. What it told of is what may be made.
    if (monitor.lastPollAt !== null) await maker.make([]);
    if (this.room() !== slotsBefore) this.demand.wake();
    const open = [...fleet.all().values()].filter((record) => !hasEnded(record) || record.bound_job !== null);
    if (isLast && open.length === 0 && machinesLeft === 0) this.endDrained();
    const isMoving = open.some(({ state, desired_intent: intent }) => state !== "running" || intent === "terminate");
    const isSoon = isMoving || machinesLeft > 0 || fleet.unsure().length > 0 || (monitor.draining && !isLast);
    return isSoon ? Math.min(SOON_MS, this.convergeMs) : this.convergeMs;
  }

  private endDrained(): void {
    this.end = "drained";
    this.stopping.abort();
  }

  private room(): string {
    const { fleet } = this.world;
    return JSON.stringify([
      fleet.isKnown,
      [...fleet.counts(this.world.time.monotonic())].map(([key, { idle, ...rest }]) => [key, idle.length, rest]),
    ]);
  }

  private async repeat(
    name: "demand" | "converge",
    waker: Waker,
    signal: AbortSignal,
    round: () => Promise<number>,
  ): Promise<void> {
    const backoff = new Backoff();
    const { monitor, time } = this.world;
    while (!signal.aborted) {
      let pauseMs: number;
      try {
        pauseMs = jittered(await round(), time.random());
        backoff.reset();
        monitor.heldBy = null;
        monitor.controlPlaneFault = null;
        if (name === "converge") monitor.providerFault = null;
        await waker.wait(pauseMs, signal);
      } catch (error) {
        if (signal.aborted) return;
        pauseMs = this.pauseAfter(name, error as Error, backoff);
        // A failure is waited out, whoever knocks.
        await sleep(pauseMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  /** Notes what went wrong, once for each kind, and answers how long to wait. */
  private pauseAfter(name: string, error: Error, backoff: Backoff): number {
    const { monitor, budgets, logger, time } = this.world;
    if (isTokenRefused(error)) {
      logger.fatal(
        { error: error.message },
        "the control plane does not take the token; machines are left as they are",
      );
      this.end = "token-refused";
      this.stopping.abort();
      return 0;
    }
    const holder = otherHolder(error);
    if (holder) {
      if (monitor.heldBy?.host !== holder.host)
        logger.warn(holder, "another daemon works with this token; this one only watches until that one ends");
      monitor.heldBy = holder;
      // Whoever waited for the pool in order to drain it would remove the machines of the other.
      if (monitor.draining) this.endDrained();
      return jittered(HELD_PAUSE_MS, time.random());
    }
    if (error instanceof ProviderError) {
      monitor.providerFailed(error.fault);
      budgets.providerFailed(error);
      if (monitor.providerFault !== error.message)
        logger.error({ error: error.message, fault: error.fault }, "the provider could not be asked");
      monitor.providerFault = error.message;
      return backoff.next(error.retryAfterMs);
    }
    if (monitor.controlPlaneFault !== error.message)
      logger.error({ error: error.message, loop: name }, "a round failed");
    monitor.controlPlaneFault = error.message;
    return backoff.next(retryAfterOf(error));
  }

  private async letGo(): Promise<void> {
    const { controlPlane, logger } = this.world;
    await controlPlane
      .letGo(AbortSignal.timeout(LET_GO_LIMIT_MS))
      .catch((error: Error) =>
        logger.warn({ error: error.message }, "the pool could not be given up; it ends by itself"),
      );
  }
}
