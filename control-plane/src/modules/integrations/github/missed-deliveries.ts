import type { Logger } from "@shipfox/shared/logger";
import type { Clock } from "../../../store/clock.ts";
import type { GitHubApp, GitHubDelivery } from "./app.ts";

/** Time to begin to listen; then the first look. */
const FIRST_LOOK_MS = 15_000;
const LOOK_INTERVAL_MS = 10 * 60_000;
/** Attempts of one delivery, GitHub's own included. */
const MAX_ATTEMPTS = 3;
const MAX_REDELIVERED = 50;
const SERVER_ERROR = 500;

/** Ids of deliveries that nobody took, one of each. One that was refused for what it is would be refused again. */
export function missedDeliveries(deliveries: readonly GitHubDelivery[]): number[] {
  const missed: number[] = [];
  for (const attempts of Map.groupBy(deliveries, ({ guid }) => guid).values()) {
    const [newest] = attempts;
    const wasAnswered = attempts.some(({ status_code }) => status_code > 0 && status_code < SERVER_ERROR);
    if (newest && !wasAnswered && attempts.length < MAX_ATTEMPTS) missed.push(newest.id);
  }
  // Oldest first, as they happened.
  return missed.reverse().slice(0, MAX_REDELIVERED);
}

/**
 * GitHub sends each delivery once. What it sent while this server was down, or could not store it, is asked for again. A
 * delivery that was taken after all counts once by its id.
 */
export class MissedDeliveries {
  readonly #deps: { readonly clock: Clock; readonly log: Logger; readonly app: GitHubApp };
  #lookAt: number;

  constructor(deps: { clock: Clock; log: Logger; app: GitHubApp }) {
    this.#deps = deps;
    this.#lookAt = deps.clock.now() + FIRST_LOOK_MS;
  }

  /** Looks when it is time to. Answers when that is next. */
  async runDue(now: number): Promise<number> {
    if (now < this.#lookAt) return this.#lookAt;
    const { app, log } = this.#deps;
    this.#lookAt = now + LOOK_INTERVAL_MS * (1 + Math.random() / 10);
    try {
      const missed = missedDeliveries(await app.deliveries());
      for (const id of missed) await app.redeliver(id);
      if (missed.length > 0) log.info({ deliveries: missed.length }, "GitHub sends again what was missed");
    } catch (error) {
      log.warn({ reason: (error as Error).message }, "GitHub could not be asked for deliveries that were missed");
    }
    return this.#lookAt;
  }
}
