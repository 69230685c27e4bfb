import { setTimeout as sleep } from "node:timers/promises";
import type { Capabilities, ClaimReply } from "@shipfox/shared/machine";
import { MAX_HEARTBEAT_WAIT_SECONDS } from "@shipfox/shared/machine";
import type { Logger } from "@shipfox/shared/logger";
import { Backoff } from "../control-plane/backoff.ts";
import { isTransient, RefusedError, retryAfterOf } from "../control-plane/call-error.ts";
import type { ControlPlaneClient } from "../control-plane/client.ts";
import type { StopSwitch } from "./stop.ts";

const DEFAULT_HEARTBEAT_INTERVAL_MS = 10_000;
/** The part of the interval that a heartbeat may wait on the server, so that its answer is back within the interval. */
const WAITING_SHARE = 0.8;
/** Failed heartbeats are repeated often: the lease outlives only a few. */
const MAX_RETRY_MS = 2_000;

export interface LeaseOptions {
  client: ControlPlaneClient;
  claim: ClaimReply;
  capabilities: Capabilities;
  stop: StopSwitch;
  outageLimitMs: number;
  logger: Logger;
  /** The plane asks to claim nothing more. */
  onDrain: () => void;
  /** A token that must not appear in a log. */
  onToken: (token: string) => void;
}

/**
 * Our right to work on a job: the current lease token, and the heartbeats that keep the lease alive and bring the news
 * that the job is cancelled or lost. One heartbeat in flight; `end` stops them.
 */
export class Lease {
  readonly jobId: string;
  private readonly options: LeaseOptions;
  private readonly intervalMs: number;
  private readonly ending = new AbortController();
  private currentToken: string;
  /** Grows when a step brought its own token: a heartbeat that was sent before must not replace it. */
  private stepCount = 0;

  constructor(options: LeaseOptions) {
    this.options = options;
    this.jobId = options.claim.job_id;
    this.currentToken = options.claim.lease_token;
    this.intervalMs = options.claim.lease?.heartbeat_interval_ms ?? DEFAULT_HEARTBEAT_INTERVAL_MS;
    options.onToken(this.currentToken);
  }

  get token(): string {
    return this.currentToken;
  }

  start(): void {
    void this.beat();
  }

  end(): void {
    this.ending.abort();
  }

  /** Takes the token that came with a step. The result tells the newest token of that step, the one for its log. */
  adoptStepToken(token: string): () => string {
    this.stepCount += 1;
    const step = this.stepCount;
    let stepToken = token;
    this.adopt(token);
    return () => {
      if (step === this.stepCount) stepToken = this.currentToken;
      return stepToken;
    };
  }

  private adopt(token: string): void {
    if (token === this.currentToken) return;
    this.currentToken = token;
    this.options.onToken(token);
  }

  private async beat(): Promise<void> {
    const { stop, logger, outageLimitMs } = this.options;
    const signal = this.ending.signal;
    const backoff = new Backoff();
    let lastAnsweredAt = performance.now();
    while (!signal.aborted) {
      const sentAt = performance.now();
      try {
        const wantsMore = await this.beatOnce();
        if (!wantsMore) return;
        lastAnsweredAt = sentAt;
        backoff.reset();
        await this.pace(sentAt);
      } catch (error) {
        if (signal.aborted) return;
        if (!isTransient(error)) return stop.request({ kind: "lost", why: describeLoss(error) });
        if (performance.now() - lastAnsweredAt > outageLimitMs) {
          return stop.request({
            kind: "lost",
            why: `the control plane did not answer for ${Math.round(outageLimitMs / 1000)} s`,
          });
        }
        logger.warn({ job_id: this.jobId, error: (error as Error).message }, "heartbeat not answered; the job goes on");
        await this.pause(Math.max(retryAfterOf(error), Math.min(MAX_RETRY_MS, this.intervalMs, backoff.next())));
      }
    }
  }

  /** False when there is nothing more to learn. */
  private async beatOnce(): Promise<boolean> {
    const { client, capabilities, stop, onDrain } = this.options;
    const stepCount = this.stepCount;
    const waitSeconds = Math.min(MAX_HEARTBEAT_WAIT_SECONDS, Math.floor((this.intervalMs / 1000) * WAITING_SHARE));
    const reply = await client.heartbeat(this.jobId, this.currentToken, {
      waitSeconds,
      capabilities,
      isCancelling: stop.stop?.kind === "cancelled",
      signal: this.ending.signal,
    });
    if (this.ending.signal.aborted) return false;
    if (stepCount === this.stepCount) this.adopt(reply.lease_token);
    if (reply.drain) onDrain();
    if (reply.force) stop.request({ kind: "cancelled", force: true });
    else if (reply.cancel) stop.request({ kind: "cancelled" });
    return !reply.force;
  }

  /** A long poll that used its wait is followed at once; one that came back early waits, else it would spin. */
  private async pace(sentAt: number): Promise<void> {
    const dueMs = this.intervalMs * WAITING_SHARE - (performance.now() - sentAt);
    const usedItsWait = dueMs < this.intervalMs / 10;
    if (!usedItsWait) await this.pause(dueMs);
  }

  private async pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.ending.signal }).catch(() => {});
  }
}

function describeLoss(error: unknown): string {
  const reason = error instanceof RefusedError ? Object(error.details)["reason"] : undefined;
  const detail = typeof reason === "string" ? ` (${reason})` : "";
  return `the control plane ended the lease${detail}: ${(error as Error).message}`;
}
