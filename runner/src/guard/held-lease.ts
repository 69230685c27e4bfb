import { setTimeout as sleep } from "node:timers/promises";
import { MAX_HEARTBEAT_WAIT_SECONDS } from "./heartbeat-call.ts";
import { Backoff } from "@shipfox/shared/backoff";
import { RefusedError, retryAfterOf } from "@shipfox/shared/call-error";
import { contactFailure } from "../control-plane/contact-failure.ts";
import { bootTimeMs } from "./boot-clock.ts";
import { type Contact, type ContactEvent, type ContactLimits, decideContact, newContact } from "./contact.ts";
import type { HeartbeatCaller } from "./heartbeat-call.ts";
import type { LeaseNews, LeaseOrder } from "./messages.ts";

/** The part of the interval that a heartbeat may wait on the server, so that its answer is back within the interval. */
const WAITING_SHARE = 0.8;
/** Failed heartbeats are repeated often: the lease outlives only a few. */
const MAX_RETRY_MS = 2_000;
/** The part of the term after which a job without an answer is looked at; the rest is for stopping it. */
const LOOK_SHARE = 0.7;
/** How long one call may take beyond its wait, as a part of the term: what is known about the plane is never older. */
const ANSWER_SHARE = 0.125;
const MIN_ANSWER_MS = 500;
/** So that a very short term does not ask the impossible of a busy engine. */
const MIN_PAUSE_LIMIT_MS = 5_000;

export interface HeldLeaseOptions {
  order: LeaseOrder;
  caller: HeartbeatCaller;
  tell: (news: LeaseNews) => void;
  /** Resolves as soon as the runner's main loop is known to be alive: a lease of a runner that hangs must end. */
  mayRenew: () => Promise<void>;
  /** The job does not stand still although its lease is about to end. */
  onPauseMissed: () => void;
}

/** The heartbeats of one lease: one in flight, the next at once or after a pause. Knows when the job must stand still. */
export class HeldLease {
  readonly #options: HeldLeaseOptions;
  readonly #limits: ContactLimits;
  readonly #answerLimitMs: number;
  readonly #ending = new AbortController();
  readonly #backoff = new Backoff();
  #contact: Contact = newContact(bootTimeMs());
  #token: string;
  #step = 0;
  #isCancelling = false;
  /** After a failure calls do not wait on the server, so that each tells soon what has become of the plane. */
  #isProbing = false;
  #pauseTimer: NodeJS.Timeout | null = null;

  constructor(options: HeldLeaseOptions) {
    const { order } = options;
    this.#options = options;
    this.#token = order.token;
    this.#limits = { lookAfterMs: order.termMs * LOOK_SHARE, outageLimitMs: order.outageLimitMs };
    this.#answerLimitMs = Math.max(MIN_ANSWER_MS, order.termMs * ANSWER_SHARE);
  }

  start(): void {
    void this.#run();
  }

  end(): void {
    this.#ending.abort();
    this.#clearPauseTimer();
  }

  useToken(token: string, step: number): void {
    this.#token = token;
    this.#step = step;
  }

  confirmPause(): void {
    this.#clearPauseTimer();
  }

  /** Call it about every second: that time passes is news too. */
  tick(): void {
    if (!this.#ending.signal.aborted) this.#see({ kind: "tick", at: bootTimeMs() });
  }

  async #run(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      await this.#options.mayRenew();
      if (signal.aborted) return;
      const sentAt = bootTimeMs();
      try {
        await this.#beat(sentAt);
      } catch (error) {
        if (signal.aborted) return;
        await this.#recover(error);
      }
    }
  }

  async #beat(sentAt: number): Promise<void> {
    const { order, caller, tell } = this.#options;
    const step = this.#step;
    const isProbe = this.#isProbing;
    const intervalSeconds = order.heartbeatIntervalMs / 1000;
    const reply = await caller.beat({
      jobId: order.jobId,
      token: this.#token,
      capabilities: order.capabilities,
      waitSeconds: isProbe ? 0 : Math.min(MAX_HEARTBEAT_WAIT_SECONDS, Math.floor(intervalSeconds * WAITING_SHARE)),
      isCancelling: this.#isCancelling,
      answerLimitMs: this.#answerLimitMs,
      signal: this.#ending.signal,
    });
    if (this.#ending.signal.aborted) return;
    this.#isProbing = false;
    this.#backoff.reset();
    if (step === this.#step) this.#token = reply.token;
    const isNewCancel = reply.cancel && !this.#isCancelling;
    this.#isCancelling = reply.cancel;
    this.#see({ kind: "answered", sentAt, at: bootTimeMs() });
    tell({ kind: "answered", step, ...reply });
    // Nothing more to learn: the lease has ended.
    if (reply.force) return this.end();
    // Straight on after the news of a cancel: the next one waits for a forced one.
    if (!isProbe && !isNewCancel && this.#contact.phase === "held") await this.#pace(sentAt);
  }

  async #recover(error: unknown): Promise<void> {
    if (endReason(error) === "cancelled") {
      this.#options.tell({
        kind: "answered",
        token: this.#token,
        step: this.#step,
        drain: false,
        cancel: true,
        force: true,
      });
      return this.end();
    }
    const how = contactFailure(error);
    this.#isProbing = true;
    this.#see({ kind: "failed", how, at: bootTimeMs() }, describeLoss(error));
    if (this.#ending.signal.aborted) return;
    this.#options.tell({ kind: "unanswered", error: (error as Error).message });
    // A plane may ask for minutes; a lease does not have them.
    const longestMs = Math.min(MAX_RETRY_MS, this.#options.order.heartbeatIntervalMs);
    await this.#pause(Math.min(longestMs, this.#backoff.next(retryAfterOf(error))));
  }

  #see(event: ContactEvent, why = ""): void {
    const { tell, order } = this.#options;
    const { contact, action } = decideContact(this.#contact, event, this.#limits);
    this.#contact = contact;
    if (action === "go_on") tell({ kind: "plane_down" });
    if (action === "pause") {
      this.#armPauseTimer();
      tell({ kind: "pause", unansweredMs: Math.round(event.at - contact.answeredAt) });
    }
    if (action === "resume") {
      this.#clearPauseTimer();
      tell({ kind: "resume" });
    }
    if (action === "kill") this.#lose(why);
    if (action === "give_up") {
      this.#lose(`the control plane did not answer for ${Math.round(order.outageLimitMs / 1000)} s`);
    }
  }

  #lose(why: string): void {
    this.#options.tell({ kind: "lost", why });
    this.end();
  }

  #armPauseTimer(): void {
    const { termMs } = this.#options.order;
    const limitMs = Math.max(MIN_PAUSE_LIMIT_MS, termMs - this.#limits.lookAfterMs);
    this.#clearPauseTimer();
    this.#pauseTimer = setTimeout(() => this.#options.onPauseMissed(), limitMs);
  }

  #clearPauseTimer(): void {
    if (this.#pauseTimer !== null) clearTimeout(this.#pauseTimer);
    this.#pauseTimer = null;
  }

  /** A long poll that used its wait is followed at once; one that came back early waits, else it would spin. */
  async #pace(sentAt: number): Promise<void> {
    const intervalMs = this.#options.order.heartbeatIntervalMs;
    const dueMs = intervalMs * WAITING_SHARE - (bootTimeMs() - sentAt);
    const usedItsWait = dueMs < intervalMs / 10;
    if (!usedItsWait) await this.#pause(dueMs);
  }

  async #pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.#ending.signal }).catch(() => {});
  }
}

/** Why the plane says that the lease is over, when it says so. */
function endReason(error: unknown): string | null {
  const reason: unknown = error instanceof RefusedError ? Object(error.details)["reason"] : undefined;
  return typeof reason === "string" ? reason : null;
}

function describeLoss(error: unknown): string {
  const reason = endReason(error);
  const detail = reason === null ? "" : ` (${reason})`;
  return `the control plane ended the lease${detail}: ${(error as Error).message}`;
}
