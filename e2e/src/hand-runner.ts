import { randomUUID } from "node:crypto";
import {
  type ClaimReply,
  claimReplySchema,
  IDEMPOTENCY_KEY_HEADER,
  type NextStepReply,
  nextStepReplySchema,
  type RegisterReply,
  type ReportBody,
  reportReplySchema,
} from "@shipfox/shared/machine";
import { type Answer, call } from "./api.ts";
import { registerByHand } from "./machine.ts";

const SUCCEEDED: ReportBody = { status: "succeeded", log_outcome: "drained", exit_code: 0, next: true };
const LONGEST_WAIT_SECONDS = 50;
const CALL_MARGIN_MS = 60_000;

export interface ClaimOptions {
  /** Also how a claim is repeated: the same key means the same claim. */
  readonly key?: string;
  readonly waitSeconds?: number;
}

/** A runner played by the test, call by call over the wire: it can do what no well-behaved runner does. */
export class HandRunner {
  readonly url: string;
  readonly registered: RegisterReply;

  private constructor(url: string, registered: RegisterReply) {
    this.url = url;
    this.registered = registered;
  }

  static async register(url: string, token: string, labels: string[] = ["linux"]): Promise<HandRunner> {
    return new HandRunner(url, await registerByHand(url, token, labels));
  }

  /** The plain answer to one claim. */
  claimCall({ key = randomUUID(), waitSeconds = 0 }: ClaimOptions = {}): Promise<Answer> {
    return call(this.url, "POST", `/runners/jobs/request?wait_seconds=${waitSeconds}`, {
      token: this.registered.session_token,
      headers: { [IDEMPOTENCY_KEY_HEADER]: key },
      limitMs: waitSeconds * 1000 + CALL_MARGIN_MS,
    });
  }

  /** One job, which must come. */
  async claim(options: ClaimOptions = {}): Promise<ClaimReply> {
    const answer = await this.claimCall({ waitSeconds: LONGEST_WAIT_SECONDS, ...options });
    if (answer.status !== 200) throw new Error(`claim: ${answer.status} ${answer.text}`);
    return claimReplySchema.parse(answer.body);
  }

  heartbeat({ job_id, lease_token }: ClaimReply): Promise<Answer> {
    return call(this.url, "POST", `/runners/jobs/${job_id}/heartbeat`, { token: lease_token });
  }

  async next(leaseToken: string): Promise<NextStepReply> {
    const answer = await call(this.url, "POST", "/runs/jobs/current/steps/next", { token: leaseToken });
    if (answer.status !== 200) throw new Error(`next: ${answer.status} ${answer.text}`);
    return nextStepReplySchema.parse(answer.body);
  }

  append(leaseToken: string, stepId: string, offset: number, records: string): Promise<Answer> {
    return call(this.url, "POST", `/runs/jobs/current/steps/${stepId}/logs?attempt=1&offset=${offset}`, {
      token: leaseToken,
      body: records,
      headers: { "content-type": "application/x-ndjson" },
    });
  }

  reportCall(step: NextStepReply & { kind: "step" }, body: ReportBody = SUCCEEDED): Promise<Answer> {
    const path = `/runs/jobs/current/steps/${step.step.id}/report`;
    return call(this.url, "POST", path, { token: step.lease_token, body: { ...body, attempt: step.attempt } });
  }

  /** The first step of the claimed job that runs something; the steps before it succeed. */
  async firstRunStep(claim: ClaimReply): Promise<NextStepReply & { kind: "step" }> {
    let next = await this.next(claim.lease_token);
    while (next.kind === "step" && next.step.type !== "run") next = await this.#succeeded(next);
    if (next.kind !== "step") throw new Error("the job has no step that runs something");
    return next;
  }

  /** Reports every step of the claimed job as succeeded. */
  async finish(claim: ClaimReply): Promise<void> {
    let next = await this.next(claim.lease_token);
    while (next.kind === "step") next = await this.#succeeded(next);
    if (next.status !== "succeeded") throw new Error(`the job ended as ${next.status}`);
  }

  async #succeeded(step: NextStepReply & { kind: "step" }): Promise<NextStepReply> {
    const answer = await this.reportCall(step);
    if (answer.status !== 200) throw new Error(`report: ${answer.status} ${answer.text}`);
    const { next } = reportReplySchema.parse(answer.body);
    if (!next) throw new Error("the report was not answered with the next step");
    return next;
  }
}
