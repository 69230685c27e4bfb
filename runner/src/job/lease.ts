import type { Capabilities, ClaimReply } from "@shipfox/shared/machine";
import type { Logger } from "@shipfox/shared/logger";
import type { GuardedLease, LeaseKeeper } from "../guard/guard-process.ts";
import type { LeaseNews } from "../guard/messages.ts";
import type { StopSwitch } from "./stop.ts";

/** For a plane that does not say its terms. */
const DEFAULT_TERM_MS = 40_000;
const DEFAULT_HEARTBEAT_INTERVAL_MS = 10_000;

export interface LeaseOptions {
  keeper: LeaseKeeper;
  claim: ClaimReply;
  capabilities: Capabilities;
  stop: StopSwitch;
  outageLimitMs: number;
  logger: Logger;
  /** The plane asks to claim nothing more. */
  onDrain: () => void;
  /** A token that must not appear in a log. */
  onToken: (token: string) => void;
  /** The job must stand still; resolves when it does. When it rejects the job counts as lost. */
  onPause: () => Promise<void>;
  /** The job may go on. */
  onResume: () => Promise<void>;
}

/**
 * Our right to work on a job: the current lease token, and what the guard's heartbeats bring: the news that the job is
 * cancelled or lost, must stand still or may go on. `end` stops the heartbeats.
 */
export class Lease {
  readonly jobId: string;
  readonly #options: LeaseOptions;
  #guarded: GuardedLease | null = null;
  #currentToken: string;
  /** Grows when a step brought its own token: a heartbeat that was sent before must not replace it. */
  #stepCount = 0;
  /** Pausing and going on, one after another. */
  #moves: Promise<void> = Promise.resolve();

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.jobId = options.claim.job_id;
    this.#currentToken = options.claim.lease_token;
    options.onToken(this.#currentToken);
  }

  get token(): string {
    return this.#currentToken;
  }

  start(): void {
    const { claim, keeper, outageLimitMs, capabilities } = this.#options;
    const order = {
      jobId: this.jobId,
      token: this.#currentToken,
      termMs: claim.lease?.term_ms ?? DEFAULT_TERM_MS,
      heartbeatIntervalMs: claim.lease?.heartbeat_interval_ms ?? DEFAULT_HEARTBEAT_INTERVAL_MS,
      outageLimitMs,
      capabilities,
    };
    this.#guarded = keeper.keepLease(order, (news) => this.#hear(news));
  }

  end(): void {
    this.#guarded?.end();
  }

  /** Takes the token that came with a step. The result tells the newest token of that step, the one for its log. */
  adoptStepToken(token: string): () => string {
    this.#stepCount += 1;
    const step = this.#stepCount;
    let stepToken = token;
    this.#adopt(token);
    this.#guarded?.useToken(token, step);
    return () => {
      if (step === this.#stepCount) stepToken = this.#currentToken;
      return stepToken;
    };
  }

  #adopt(token: string): void {
    if (token === this.#currentToken) return;
    this.#currentToken = token;
    this.#options.onToken(token);
  }

  #hear(news: LeaseNews): void {
    const { stop, logger, onDrain } = this.#options;
    switch (news.kind) {
      case "answered":
        if (news.step === this.#stepCount) this.#adopt(news.token);
        if (news.drain) onDrain();
        if (news.force) stop.request({ kind: "cancelled", force: true });
        else if (news.cancel) stop.request({ kind: "cancelled" });
        return;
      case "unanswered":
        return logger.warn({ error: news.error }, "heartbeat not answered");
      case "plane_down":
        return logger.warn("the control plane is down; the job goes on");
      case "pause":
        return this.#pause(news.unansweredMs);
      case "resume":
        return this.#resume();
      case "lost":
        return stop.request({ kind: "lost", why: news.why });
    }
  }

  #pause(unansweredMs: number): void {
    const { logger, onPause } = this.#options;
    logger.warn(
      { unanswered_ms: unansweredMs },
      "nothing is heard of the control plane, which may have given the job away: the job stands still until it answers",
    );
    this.#move(async () => {
      await onPause();
      this.#guarded?.confirmPause();
      logger.info("job paused");
    });
  }

  #resume(): void {
    const { logger, onResume } = this.#options;
    this.#move(async () => {
      await onResume();
      logger.info("the control plane answers again: job resumed");
    });
  }

  /** A job that does not do as it is told is killed. */
  #move(work: () => Promise<void>): void {
    this.#moves = this.#moves.then(work).catch((error: unknown) => {
      const why = `the job could not be paused or resumed: ${(error as Error).message}`;
      this.#options.stop.request({ kind: "lost", why });
    });
  }
}
