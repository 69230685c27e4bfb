import { setTimeout as sleep } from "node:timers/promises";
import type { ReleaseReason } from "@shipfox/shared/failure";
import {
  type AnnotationOperation,
  type Capabilities,
  annotationsReplySchema,
  type CheckoutToken,
  type ClaimReply,
  checkoutTokenReplySchema,
  claimReplySchema,
  type HealthBody,
  IDEMPOTENCY_KEY_HEADER,
  type LogAppendReply,
  logAppendReplySchema,
  MAX_CLAIM_WAIT_SECONDS,
  MAX_HEALTH_REASON_CHARS,
  type NextStepReply,
  nextStepReplySchema,
  type RegisterReply,
  type RegistryCredential,
  type ReportBody,
  type ReportReply,
  RUNNER_VERSION_HEADER,
  registerReplySchema,
  registryCredentialReplySchema,
  reportReplySchema,
  type StepSecrets,
  stepSecretsReplySchema,
} from "@shipfox/shared/machine";
import { VERSION } from "@shipfox/shared/version";
import type { z } from "zod";
import { Backoff } from "@shipfox/shared/backoff";
import { isTransient, RefusedError, retryAfterOf, UnreachableError } from "@shipfox/shared/call-error";
import { type Answer, type Call, HttpCaller, refusal } from "@shipfox/shared/http-call";

/** Every call may take this long beyond what it asked the server to wait. */
export const CALL_MARGIN_MS = 15_000;
const NO_CONTENT = 204;
const SERVER_ERROR = 500;
const MAX_ERROR_MESSAGE_CHARS = 2048;

/** Learns how the calls go; for the runner's own health. */
export interface CallObserver {
  /** The plane answered, whatever it said. */
  answered(): void;
  notAnswered(why: string): void;
  heartbeatAnswered(jobId: string): void;
  logAcknowledged(bytes: number): void;
}

/** The plane had nothing to do for us; `retryAfterMs` is what it asked us to wait, 0 when it said nothing. */
export interface NoWork {
  retryAfterMs: number;
}

/**
 * The machine protocol but the heartbeats, which are the guard's, one method a route. Methods try once unless they say "repeated": those go on after transient
 * failures (no answer, 408, 429, 5xx) until they are answered or `signal` is aborted. All reject with RefusedError when
 * the plane said no and with UnreachableError when it said nothing that is understood.
 */
export class ControlPlaneClient {
  private readonly caller: HttpCaller;
  private readonly marginMs: number;
  private readonly observer: CallObserver | null;

  constructor(options: {
    baseUrl: string;
    certificateAuthority?: string | null;
    callMarginMs?: number;
    observer?: CallObserver;
  }) {
    this.observer = options.observer ?? null;
    this.caller = new HttpCaller(options.baseUrl, options.certificateAuthority ?? null);
    this.marginMs = options.callMarginMs ?? CALL_MARGIN_MS;
  }

  register(
    token: string,
    body: { labels: readonly string[]; capabilities: Capabilities; persistent: boolean; name: string },
    idempotencyKey: string,
  ): Promise<RegisterReply> {
    return this.json(registerReplySchema, {
      path: "runners/register",
      token,
      json: body,
      headers: { [IDEMPOTENCY_KEY_HEADER]: idempotencyKey },
    });
  }

  /** The same key gets the same job until its first heartbeat. */
  async claim(claim: {
    sessionToken: string;
    idempotencyKey: string;
    waitSeconds: number;
    signal?: AbortSignal;
  }): Promise<ClaimReply | NoWork> {
    const waitSeconds = Math.min(MAX_CLAIM_WAIT_SECONDS, claim.waitSeconds);
    const answer = await this.call({
      path: `runners/jobs/request?wait_seconds=${waitSeconds}&next=true`,
      token: claim.sessionToken,
      headers: { [IDEMPOTENCY_KEY_HEADER]: claim.idempotencyKey },
      waitSeconds,
      signal: claim.signal,
    });
    return answer.status === NO_CONTENT ? { retryAfterMs: answer.retryAfterMs } : parse(claimReplySchema, answer);
  }

  /** Repeated: the same step and attempt come back while it is running. */
  nextStep(leaseToken: string, signal: AbortSignal): Promise<NextStepReply> {
    return repeat(signal, () =>
      this.json(nextStepReplySchema, { path: "runs/jobs/current/steps/next", token: leaseToken, signal }),
    );
  }

  /** Repeated: a second report of an ended attempt changes nothing. */
  report(stepId: string, leaseToken: string, body: ReportBody, signal: AbortSignal): Promise<ReportReply> {
    const json = body.error
      ? { ...body, error: { ...body.error, message: body.error.message.slice(0, MAX_ERROR_MESSAGE_CHARS) } }
      : body;
    return repeat(signal, () =>
      this.json(reportReplySchema, {
        path: `runs/jobs/current/steps/${stepId}/report`,
        token: leaseToken,
        json,
        signal,
      }),
    );
  }

  /** Each call makes a fresh credential. */
  checkoutToken(stepId: string, leaseToken: string, attempt: number, signal: AbortSignal): Promise<CheckoutToken> {
    return this.json(checkoutTokenReplySchema, {
      path: `runs/jobs/current/steps/${stepId}/checkout-token?attempt=${attempt}`,
      token: leaseToken,
      signal,
    });
  }

  /** The values of the secrets that the step's bindings name, as they are now. */
  stepSecrets(stepId: string, leaseToken: string, attempt: number, signal: AbortSignal): Promise<StepSecrets> {
    return this.json(stepSecretsReplySchema, {
      method: "GET",
      path: `runs/jobs/current/steps/${stepId}/secrets?attempt=${attempt}`,
      token: leaseToken,
      signal,
    });
  }

  /** Repeated. For an image that the leased job names; null when the workspace has nothing for its registry. */
  async registryCredential(image: string, leaseToken: string, signal: AbortSignal): Promise<RegistryCredential | null> {
    const path = `runs/jobs/current/registry-credentials?image=${encodeURIComponent(image)}`;
    const ask = () => this.json(registryCredentialReplySchema, { method: "GET", path, token: leaseToken, signal });
    try {
      return (await repeat(signal, ask)).credential;
    } catch (error) {
      // A plane of the published protocol keeps no credentials and has no such route.
      if (error instanceof RefusedError && error.code === "not-found") return null;
      throw error;
    }
  }

  /** `offset` is the position of `records` in the step attempt's log; a gap is refused with 409 `offset-gap`. */
  async appendLog(append: {
    stepId: string;
    attempt: number;
    leaseToken: string;
    offset: number;
    records: Buffer;
    signal?: AbortSignal;
  }): Promise<LogAppendReply> {
    const reply = await this.json(logAppendReplySchema, {
      path: `runs/jobs/current/steps/${append.stepId}/logs?attempt=${append.attempt}&offset=${append.offset}&budget=true`,
      token: append.leaseToken,
      body: append.records,
      headers: { "content-type": "application/x-ndjson" },
      signal: append.signal,
    });
    this.observer?.logAcknowledged(append.records.length);
    return reply;
  }

  /** All of a step's annotations at once; refused whole when one goes beyond a limit. */
  async annotate(send: {
    stepId: string;
    attempt: number;
    leaseToken: string;
    operations: readonly AnnotationOperation[];
    signal: AbortSignal;
  }): Promise<void> {
    await this.json(annotationsReplySchema, {
      path: "runs/jobs/current/annotations",
      token: send.leaseToken,
      json: { step_id: send.stepId, attempt: send.attempt, annotations: send.operations },
      signal: send.signal,
    });
  }

  /** Repeated. Gives the job back; on a job that is being cancelled it says that its processes are dead. */
  async release(
    jobId: string,
    leaseToken: string,
    release: { reason: ReleaseReason; message?: string },
    signal: AbortSignal,
  ): Promise<void> {
    const json = {
      reason: release.reason,
      ...(release.message ? { message: release.message.slice(0, MAX_ERROR_MESSAGE_CHARS) } : {}),
    };
    await repeat(signal, () => this.call({ path: `runners/jobs/${jobId}/release`, token: leaseToken, json, signal }));
  }

  /** Repeated. Changes the labels of the session; the jobs that run under it are not touched. */
  async relabelSession(sessionToken: string, labels: readonly string[], signal: AbortSignal): Promise<void> {
    const call = { method: "PATCH", path: "runners/session", token: sessionToken, json: { labels }, signal } as const;
    await repeat(signal, () => this.call(call));
  }

  async reportHealth(sessionToken: string, health: HealthBody, signal: AbortSignal): Promise<void> {
    const json =
      health.reason === undefined ? health : { ...health, reason: health.reason.slice(0, MAX_HEALTH_REASON_CHARS) };
    await this.call({ method: "PUT", path: "runners/session/health", token: sessionToken, json, signal });
  }

  async endSession(sessionToken: string, signal: AbortSignal): Promise<void> {
    await this.call({ method: "DELETE", path: "runners/session", token: sessionToken, signal });
  }

  close(): void {
    this.caller.close();
  }

  private async json<Schema extends z.ZodType>(schema: Schema, call: ClientCall): Promise<z.output<Schema>> {
    return parse(schema, await this.call(call));
  }

  /** One call of a job or a session, once; for the groups of routes that have a client of their own. */
  async call(call: ClientCall): Promise<Answer> {
    const json: Record<string, string> = call.json === undefined ? {} : { "content-type": "application/json" };
    const answer = await this.observed({
      method: call.method ?? "POST",
      path: call.path,
      headers: {
        authorization: `Bearer ${call.token}`,
        accept: "application/json",
        [RUNNER_VERSION_HEADER]: VERSION,
        ...json,
        ...call.headers,
      },
      body: call.json === undefined ? call.body : Buffer.from(JSON.stringify(call.json)),
      timeoutMs: (call.waitSeconds ?? 0) * 1000 + this.marginMs,
      signal: call.signal,
    });
    if (answer.status < 200 || answer.status > 299) throw refusal(answer);
    return answer;
  }

  private async observed(call: Call): Promise<Answer> {
    try {
      const answer = await this.caller.send(call);
      if (answer.status < SERVER_ERROR) this.observer?.answered();
      else this.observer?.notAnswered(`it answers with HTTP ${answer.status}`);
      return answer;
    } catch (error) {
      if (!call.signal?.aborted) this.observer?.notAnswered((error as Error).message);
      throw error;
    }
  }
}

export interface ClientCall {
  method?: Call["method"];
  path: string;
  token: string;
  json?: unknown;
  body?: Buffer;
  headers?: Record<string, string>;
  waitSeconds?: number;
  signal?: AbortSignal | undefined;
}

/** Goes on until it is answered, refused for good or aborted; aborted it rejects with the last failure. */
export async function repeat<Result>(signal: AbortSignal, attempt: () => Promise<Result>): Promise<Result> {
  const backoff = new Backoff();
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!isTransient(error) || signal.aborted) throw error;
      await sleep(backoff.next(retryAfterOf(error)), undefined, { signal }).catch(() => {
        throw error;
      });
    }
  }
}

/** A reply that does not fit is as good as none: a proxy's page, or a server of another time. */
export function parse<Schema extends z.ZodType>(schema: Schema, answer: Answer): z.output<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(answer.body.toString("utf8"));
  } catch {
    throw new UnreachableError(
      "The control plane's reply is not JSON. Does SHIPFOX_API_URL point at a Shipfox control plane?",
    );
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new UnreachableError(
    `The control plane's reply is not understood: ${issue?.path.join(".")}: ${issue?.message}.`,
  );
}
