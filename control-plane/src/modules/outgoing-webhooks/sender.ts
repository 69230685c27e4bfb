import type { Store } from "../../store/store.ts";
import type { WebhookDeliveryRow, WebhookRow } from "../../store/schema.ts";
import { type AttemptDeps, attemptDelivery } from "./attempt.ts";
import { recordAttempt } from "./record-attempt.ts";
import { claimDue, giveBack, nextDueAfter, webhooksWithDue } from "./store.ts";

/** Of one webhook at once; one that fails gets a single one until a delivery succeeds. */
const MAX_OF_WEBHOOK = 4;
const MAX_OF_FAILING_WEBHOOK = 1;
const MAX_AT_ONCE = 256;
/** Beyond its time-out an attempt is given this long to be written down; then it counts as lost and is made again. */
const RECORD_LIMIT_MS = 60_000;

export interface SenderDeps extends AttemptDeps {
  readonly store: Store;
  readonly settings: AttemptDeps["settings"] & { readonly disableAfterMs: number };
  /** Jitter: from 0 to 1. */
  readonly random: () => number;
  /** Called when an attempt has ended: there may be room for the next. */
  readonly onRoom: () => void;
}

/**
 * Sends what is due. Each webhook has places of its own, and those with the fewest attempts under way come first, so that a
 * slow receiver delays only itself. Several processes may send from one database: a claim gives each delivery to one.
 */
export class Sender {
  readonly #deps: SenderDeps;
  readonly #underWay = new Map<string, Set<Promise<void>>>();
  readonly #stopping = new AbortController();

  constructor(deps: SenderDeps) {
    this.#deps = deps;
  }

  /** Starts attempts, without waiting for them; answers when to call again at the latest. */
  async sendDue(now: number): Promise<number | null> {
    const { store, settings } = this.#deps;
    const webhooks = await store.read((tx) => webhooksWithDue(tx, now));
    webhooks.sort((a, b) => this.#countOf(a) - this.#countOf(b));
    for (const webhook of webhooks) {
      const limit = this.#roomFor(webhook);
      if (limit <= 0 || this.#stopping.signal.aborted) continue;
      const lostAt = now + settings.timeoutMs + RECORD_LIMIT_MS;
      const claim = { now, lostAt, limit, lock: store.sql.skipLocked };
      for (const delivery of await store.write((tx) => claimDue(tx, webhook.id, claim))) {
        this.#start(webhook, delivery, lostAt);
      }
    }
    return store.read((tx) => nextDueAfter(tx, now));
  }

  /** Waits for the attempts that are under way. */
  async settled(): Promise<void> {
    await Promise.all([...this.#underWay.values()].flatMap((attempts) => [...attempts]));
  }

  /** Breaks attempts off and hands them back; their receivers may see them again. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.settled();
  }

  #countOf(webhook: WebhookRow): number {
    return this.#underWay.get(webhook.id)?.size ?? 0;
  }

  #roomFor(webhook: WebhookRow): number {
    let total = 0;
    for (const attempts of this.#underWay.values()) total += attempts.size;
    const own = webhook.failing_since === null ? MAX_OF_WEBHOOK : MAX_OF_FAILING_WEBHOOK;
    return Math.min(own - this.#countOf(webhook), MAX_AT_ONCE - total);
  }

  #start(webhook: WebhookRow, delivery: WebhookDeliveryRow, lostAt: number): void {
    const attempts = this.#underWay.get(webhook.id) ?? new Set();
    this.#underWay.set(webhook.id, attempts);
    const attempt = this.#attempt(webhook, delivery, lostAt)
      .catch((error: unknown) => {
        this.#deps.log.error({ err: error, webhook_id: webhook.id }, "what became of a delivery was not stored");
      })
      .then(() => {
        attempts.delete(attempt);
        if (attempts.size === 0) this.#underWay.delete(webhook.id);
        this.#deps.onRoom();
      });
    attempts.add(attempt);
  }

  async #attempt(webhook: WebhookRow, delivery: WebhookDeliveryRow, lostAt: number): Promise<void> {
    const { store, clock } = this.#deps;
    const { signal } = this.#stopping;
    const result = await attemptDelivery(this.#deps, webhook, delivery, signal).catch((error: unknown) => {
      if (signal.aborted) return null;
      throw error;
    });
    if (result) await recordAttempt(this.#deps, { webhookId: webhook.id, delivery, lostAt, result });
    else await store.write((tx) => giveBack(tx, delivery.id, lostAt, clock.now()));
  }
}
