import type { Logger } from "@shipfox/shared/logger";
import type { Clock } from "../../store/clock.ts";
import type { TriggerEventRow } from "../../store/schema.ts";
import type { Store } from "../../store/store.ts";
import { endAsSuperseded, hasNewerCommit, holdForApproval, supersedeOlder } from "./approval-store.ts";
import { type Matcher, lockListener, type RunsDeps } from "../runs/public.ts";
import { decisionsOfPass, insertDecision, insertListenerDecision, listenersReached } from "./decision-store.ts";
import { deliverToListener } from "./deliver-to-listener.ts";
import { listenerOffersOf } from "./listener-offers.ts";
import { decideOutcome, type Pass, retryAt } from "./model.ts";
import { hashOfWorkflows, offersOf } from "./offers.ts";
import { permanentReason } from "./permanent-reason.ts";
import type { EvaluateFilter, StartTriggered } from "./ports.ts";
import { dueEvents, findEvent, nextDueEvent, settleEvent } from "./routing-store.ts";
import { ChainTooLong, startForEvent, SubscriptionChanged } from "./start-triggered.ts";
import type { Candidate } from "./subscription-store.ts";

/** Events taken in one round; the loop comes back at once while there are more. */
const EVENTS = 50;

/** What wants an event: a trigger, which starts a run, or a job that listens, which takes it. */
type Wanted =
  | { readonly kind: "trigger"; readonly subscription: Candidate }
  | { readonly kind: "listener"; readonly matcher: Matcher };

export interface EventRoutingDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly evaluate: EvaluateFilter;
  readonly start: StartTriggered;
  readonly runs: RunsDeps;
}

/**
 * Offers stored events to the subscriptions that name them, first those of workflows, then those of jobs that listen. Each start is one transaction with the decision that tells of it,
 * so that an event which is routed again after a crash goes on where it was. The events of one workspace are routed in their
 * order; those of others do not wait for them. An event that somebody without rights made starts nothing until it is approved.
 */
export class EventRouting {
  readonly #deps: EventRoutingDeps;
  #stopped = false;

  constructor(deps: EventRoutingDeps) {
    this.#deps = deps;
  }

  /** Routes what is due and answers when the next event is; null when none is. */
  async runDue(now: number): Promise<number | null> {
    const { store } = this.#deps;
    const due = await store.read((tx) => dueEvents(tx, now, EVENTS));
    const byWorkspace = Object.values(Object.groupBy(due, (event) => event.workspace_id));
    await Promise.all(byWorkspace.map((events) => this.#routeInOrder((events ?? []).map(({ id }) => id))));
    return store.read(nextDueEvent);
  }

  /** Lets the start that is being made end. */
  stop(): void {
    this.#stopped = true;
  }

  async #routeInOrder(eventIds: readonly string[]): Promise<void> {
    for (const id of eventIds) {
      const event = await this.#deps.store.read((tx) => findEvent(tx, id));
      if (!event || event.due_at === null) continue;
      const pass = await this.#offer(event);
      // What a stop cut off stays due.
      if (this.#stopped) return;
      if (pass !== "held") await this.#settle(event, pass);
    }
  }

  async #offer(event: TriggerEventRow): Promise<Pass | "held"> {
    try {
      return await (event.untrusted === 1 ? this.#routeUntrusted(event) : this.#route(event));
    } catch (error) {
      this.#deps.log.warn({ err: error, eventId: event.id }, "an event is routed again later");
      return "failed";
    }
  }

  async #route(event: TriggerEventRow): Promise<Pass> {
    let pass: Pass = "done";
    for await (const wanted of this.#wanted(event)) {
      if (this.#stopped) return "again";
      pass = worse(pass, await this.#engage(event, wanted));
    }
    return pass;
  }

  /** All that match, also what has its run from this pass already; what cannot be asked is written down. */
  async *#wanted(event: TriggerEventRow): AsyncGenerator<Wanted> {
    for await (const { subscription, verdict } of offersOf(this.#deps, event)) {
      if (verdict.kind === "error") await this.#record(event, subscription, "filter-error", verdict.reason);
      if (verdict.kind === "match") yield { kind: "trigger", subscription };
      if (this.#stopped) return;
    }
    for await (const { match, errors } of listenerOffersOf(this.#deps, event)) {
      for (const { matcher, reason } of errors) await this.#recordOfListener(event, matcher, reason);
      if (match) yield { kind: "listener", matcher: match };
      if (this.#stopped) return;
    }
  }

  /** Looks at all that it would start first: an approval is for all of it, and for this commit. Held is what waits for one, or is outdated. */
  async #routeUntrusted(event: TriggerEventRow): Promise<Pass | "held"> {
    const { store, clock } = this.#deps;
    const now = clock.now();
    await store.write((tx) => supersedeOlder(tx, event, now));
    if (await store.read((tx) => hasNewerCommit(tx, event))) {
      await store.write((tx) => endAsSuperseded(tx, event, now));
      return "held";
    }
    const wanted: Wanted[] = [];
    for await (const one of this.#wanted(event)) wanted.push(one);
    if (this.#stopped) return "again";
    if (wanted.length === 0) return "done";
    const subscriptions = wanted.flatMap((one) => (one.kind === "trigger" ? [one.subscription] : []));
    const listening = wanted.flatMap((one) => (one.kind === "listener" ? [one.matcher.job_id] : []));
    // An approval is also for those that a pass which was cut off has reached.
    const reached = await store.read((tx) => listenersReached(tx, event));
    const hash = await hashOfWorkflows(store, subscriptions, [...new Set([...reached, ...listening])].sort());
    if (hash === null) return "again";
    if (event.approval !== "approved" || event.workflows_hash !== hash) {
      await store.write((tx) => holdForApproval(tx, event, { hash, matched: wanted.length }));
      return "held";
    }
    let pass: Pass = "done";
    for (const one of wanted) {
      if (this.#stopped) return "again";
      pass = worse(pass, await this.#engage(event, one));
    }
    return pass;
  }

  async #engage(event: TriggerEventRow, wanted: Wanted): Promise<Pass> {
    if (wanted.kind === "listener") return this.#deliver(event, wanted.matcher);
    return wanted.subscription.decision === null ? this.#start(event, wanted.subscription) : "done";
  }

  async #deliver(event: TriggerEventRow, matcher: Matcher): Promise<Pass> {
    const { store, clock, log, runs } = this.#deps;
    const now = clock.now();
    try {
      await store.write((tx) => deliverToListener(tx, runs, { event, matcher, now }));
      return "done";
    } catch (error) {
      log.warn({ err: error, eventId: event.id, jobId: matcher.job_id }, "an event is routed again later");
      return "failed";
    }
  }

  async #start(event: TriggerEventRow, subscription: Candidate): Promise<Pass> {
    const { store, clock, log, start } = this.#deps;
    const now = clock.now();
    try {
      await store.write((tx) => startForEvent(tx, start, { event, subscription, now }));
      return "done";
    } catch (error) {
      if (error instanceof SubscriptionChanged) return "again";
      const reason = error instanceof ChainTooLong ? error.message : permanentReason(error);
      if (reason !== null) {
        await this.#record(event, subscription, "dispatch-error", reason);
        return "done";
      }
      log.warn({ err: error, eventId: event.id, subscriptionId: subscription.id }, "an event is routed again later");
      return "failed";
    }
  }

  async #record(
    event: TriggerEventRow,
    subscription: Candidate,
    decision: "filter-error" | "dispatch-error",
    reason: string,
  ): Promise<void> {
    const now = this.#deps.clock.now();
    await this.#deps.store.write((tx) => insertDecision(tx, event, subscription, { decision, reason, now }));
  }

  async #recordOfListener(event: TriggerEventRow, matcher: Matcher, reason: string): Promise<void> {
    const { store, clock } = this.#deps;
    const decided = { decision: "filter-error", reason, now: clock.now() } as const;
    await store.write(async (tx) => {
      const listener = await lockListener(tx, store.sql.forUpdate, matcher.job_id);
      if (listener) await insertListenerDecision(tx, event, { matcher, runId: listener.run_id }, decided);
    });
  }

  async #settle(event: TriggerEventRow, pass: Pass): Promise<void> {
    const { store, clock } = this.#deps;
    const now = clock.now();
    await store.write(async (tx) => {
      const decisions = await decisionsOfPass(tx, event);
      const outcome = decideOutcome(decisions, pass);
      const dueAt = pass === "done" ? null : pass === "again" ? now : retryAt(event.received_at, now);
      const processedAt = pass === "done" ? now : null;
      await settleEvent(tx, event, { outcome, matched: decisions.length, processedAt, dueAt });
    });
  }
}

function worse(one: Pass, other: Pass): Pass {
  return one === "failed" || other === "done" ? one : other;
}
