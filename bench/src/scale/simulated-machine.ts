import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type ClaimReply,
  IDEMPOTENCY_KEY_HEADER,
  MAX_CLAIM_WAIT_SECONDS,
  type NextStepReply,
  type RegisterReply,
  type ReportBody,
  type ReportReply,
} from "@shipfox/shared/machine";
import type { JsonClient } from "../json-client.ts";

/** From the order to the registration of the runner: the least that a job waits for a machine of its own. */
export const BOOT_MS = 500;
const SHUT_DOWN_MS = 300;
/** A lease lives 40 s without a heartbeat. */
const JOB_MS = { least: 8_000, spread: 8_000 };
/** Spreads the lengths of jobs evenly without chance: a step with the fraction of the golden ratio. */
const GOLDEN = 0.618_033_988_75;
const CLAIM = `/runners/jobs/request?wait_seconds=${MAX_CLAIM_WAIT_SECONDS}&next=true`;
const SUCCEEDED: ReportBody = { status: "succeeded", log_outcome: "drained", exit_code: 0, next: true };

export type Phase = "starting" | "idle" | "busy" | "over";

/** A machine whose runner registers, takes one job, holds it for some seconds, signs off and ends, all over the real protocol. */
export class SimulatedMachine {
  phase: Phase = "starting";
  hasStopped = false;
  /** What went wrong while it had its job; nothing may. */
  fault: Error | null = null;
  readonly tags: { readonly instance: string };
  readonly #client: JsonClient;
  readonly #token: string;
  readonly #jobMs: number;
  readonly #removed = new AbortController();

  constructor(client: JsonClient, token: string, tags: { readonly instance: string }, number: number) {
    this.#client = client;
    this.#token = token;
    this.tags = tags;
    this.#jobMs = JOB_MS.least + ((number * GOLDEN) % 1) * JOB_MS.spread;
  }

  /** Resolves at the end of the machine; `onJobDone` is called once, when the control plane knows of the end of the job. */
  async run(onJobDone: () => void): Promise<void> {
    try {
      await this.#pause(BOOT_MS);
      const { session_token: session } = await this.#call<RegisterReply>("POST", "/runners/register", this.#token, {});
      this.phase = "idle";
      const claim = await this.#claim(session);
      this.phase = "busy";
      await this.#work(claim);
      this.phase = "over";
      onJobDone();
      await this.#call("DELETE", "/runners/session", session);
      await this.#pause(SHUT_DOWN_MS);
    } catch (error) {
      // Without a job it was taken out of service or away: then a runner ends.
      if (this.phase === "busy") this.fault = error as Error;
    } finally {
      this.phase = "over";
      this.hasStopped = true;
    }
  }

  remove(): void {
    this.#removed.abort();
  }

  async #claim(session: string): Promise<ClaimReply> {
    for (;;) {
      const claim = await this.#call<ClaimReply | undefined>("POST", CLAIM, session, undefined, randomUUID());
      // 204: the long poll ran out.
      if (claim) return claim;
    }
  }

  async #work({ next: first }: ClaimReply): Promise<void> {
    await this.#pause(this.#jobMs);
    let next: NextStepReply | undefined = first;
    while (next?.kind === "step") {
      const body: ReportBody = { ...SUCCEEDED, attempt: next.attempt };
      const path = `/runs/jobs/current/steps/${next.step.id}/report`;
      const reply: ReportReply = await this.#call("POST", path, next.lease_token, body);
      next = reply.next;
    }
    if (next?.status !== "succeeded") throw new Error(`a job ended as ${next?.status ?? "unknown"}`);
  }

  #call<T>(method: "POST" | "DELETE", path: string, token: string, body?: unknown, key?: string): Promise<T> {
    const headers: Record<string, string> = key === undefined ? {} : { [IDEMPOTENCY_KEY_HEADER]: key };
    return this.#client.call<T>(method, path, { token, body, headers, signal: this.#removed.signal });
  }

  async #pause(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.#removed.signal });
  }
}
