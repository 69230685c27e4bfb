import { RefusedError, UnreachableError } from "@shipfox/shared/call-error";
import { type Call, HttpCaller, refusal } from "@shipfox/shared/http-call";
import {
  type AdvertisedTemplate,
  type DemandReply,
  demandReplySchema,
  drainInstancesReplySchema,
  HOLDER_HEADER,
  instanceBatchReplySchema,
  type instanceReportBodySchema,
  instanceReportReplySchema,
  MAX_DEMAND_WAIT_SECONDS,
  MAX_REPORTED_EVENTS,
  provisionerReplySchema,
  reconcileReplySchema,
} from "@shipfox/shared/provisioner";
import { VERSION } from "@shipfox/shared/version";
import type { z } from "zod";

/** Every call may take this long beyond what it asked the server to wait. */
const CALL_LIMIT_MS = 20_000;
const NO_CONTENT = 204;

export type Provisioner = z.output<typeof provisionerReplySchema>;
export type Reconciled = z.output<typeof reconcileReplySchema>;
export type InstanceRecord = Reconciled["runners"][number];
export type InstanceEvent = z.input<typeof instanceReportBodySchema>["events"][number];
export type PlannedInstance = z.output<typeof instanceBatchReplySchema>["runner_instances"][number];

export interface DemandPoll {
  readonly templates: readonly AdvertisedTemplate[];
  readonly maxReservations: number;
  readonly waitSeconds: number;
}

export interface InstanceBatch {
  readonly providerKind: string;
  /** From now until the runner must have registered; whole seconds, 1 to 3,600. */
  readonly bootSeconds: number;
  readonly instances: readonly { readonly template_key: string; readonly reservation_id?: string }[];
}

/** What the loops ask of the control plane. */
export type ControlPlane = Pick<
  Client,
  "me" | "pollDemand" | "planInstances" | "report" | "reconcile" | "drain" | "letGo"
>;

/**
 * The provisioner's routes, one method each. Every method tries once; it rejects with RefusedError when the control plane said
 * no, and with UnreachableError when it said nothing that is understood: the call may have had its effect then.
 */
export class Client {
  private readonly caller: HttpCaller;
  private readonly headers: Record<string, string>;

  /** `holder` tells two daemons with one token apart: an id that is new for each start, and the name of the host. */
  constructor(options: {
    baseUrl: string;
    token: string;
    holder: { readonly id: string; readonly host: string };
    certificateAuthority: string | null;
  }) {
    this.caller = new HttpCaller(options.baseUrl, options.certificateAuthority);
    this.headers = {
      authorization: `Bearer ${options.token}`,
      [HOLDER_HEADER]: `${options.holder.id} ${options.holder.host}`,
      "user-agent": `shipfox-provisioner/${VERSION}`,
    };
  }

  me(signal: AbortSignal): Promise<Provisioner> {
    return this.call(provisionerReplySchema, { method: "GET", path: "provisioners/me", signal });
  }

  /** Waits up to `waitSeconds` for something to do. What was reserved for a poll that is given up is free again. */
  pollDemand(poll: DemandPoll, signal: AbortSignal): Promise<DemandReply> {
    const waitSeconds = Math.min(MAX_DEMAND_WAIT_SECONDS, poll.waitSeconds);
    return this.call(demandReplySchema, {
      path: "provisioners/demand/poll",
      json: { templates: poll.templates, max_reservations: poll.maxReservations, wait_seconds: waitSeconds },
      waitSeconds,
      signal,
    });
  }

  /** The tokens are in this answer and nowhere else: one that is lost leaves instances that nobody can create. */
  async planInstances(batch: InstanceBatch, signal: AbortSignal): Promise<PlannedInstance[]> {
    const reply = await this.call(instanceBatchReplySchema, {
      path: "provisioners/runner-instances/batch",
      json: {
        provider_kind: batch.providerKind,
        boot_deadline_seconds: batch.bootSeconds,
        runner_instances: batch.instances,
      },
      signal,
    });
    return reply.runner_instances;
  }

  /** Safe to repeat. */
  async report(events: readonly InstanceEvent[], signal: AbortSignal): Promise<void> {
    for (let start = 0; start < events.length; start += MAX_REPORTED_EVENTS)
      await this.call(instanceReportReplySchema, {
        path: "provisioners/runner-instances/report",
        json: { events: events.slice(start, start + MAX_REPORTED_EVENTS) },
        signal,
      });
  }

  reconcile(
    seen: { readonly observed: readonly string[]; readonly confirmedEmpty: boolean },
    signal: AbortSignal,
  ): Promise<Reconciled> {
    return this.call(reconcileReplySchema, {
      path: "provisioners/runner-instances/reconcile",
      json: { observed_runner_instance_ids: seen.observed, confirmed_empty: seen.confirmedEmpty },
      signal,
    });
  }

  /** Takes those out of service that have no job, 1 to 1,000; answers which were busy. */
  drain(ids: readonly string[], signal: AbortSignal): Promise<z.output<typeof drainInstancesReplySchema>> {
    return this.call(drainInstancesReplySchema, {
      path: "provisioners/runner-instances/drain",
      json: { runner_instance_ids: ids },
      signal,
    });
  }

  /** The next daemon with this token need not wait. */
  async letGo(signal: AbortSignal): Promise<void> {
    const answer = await this.send({ method: "DELETE", path: "provisioners/pool", signal });
    if (answer.status !== NO_CONTENT) throw refusal(answer);
  }

  close(): void {
    this.caller.close();
  }

  private async call<Schema extends z.ZodType>(schema: Schema, call: ClientCall): Promise<z.output<Schema>> {
    const answer = await this.send(call);
    if (answer.status < 200 || answer.status > 299) throw refusal(answer);
    try {
      return schema.parse(JSON.parse(answer.body.toString("utf8")));
    } catch (error) {
      throw new UnreachableError(
        `The control plane's answer to ${call.path} is not understood: it may be of another version.`,
        { cause: error },
      );
    }
  }

  private send({ method = "POST", path, json, waitSeconds = 0, signal }: ClientCall) {
    const body = json === undefined ? undefined : Buffer.from(JSON.stringify(json));
    const headers = body ? { ...this.headers, "content-type": "application/json" } : this.headers;
    return this.caller.send({ method, path, headers, body, timeoutMs: CALL_LIMIT_MS + waitSeconds * 1_000, signal });
  }
}

interface ClientCall {
  readonly method?: Call["method"];
  readonly path: string;
  readonly json?: unknown;
  readonly waitSeconds?: number;
  readonly signal: AbortSignal;
}

/** Another daemon speaks for the provisioner: on which host, and until when at least; null for any other error. */
export function otherHolder(error: unknown): { host: string; until: string } | null {
  if (!(error instanceof RefusedError) || error.code !== "provisioner-pool-held") return null;
  const { host, until } = Object(error.details) as { host?: unknown; until?: unknown };
  return { host: typeof host === "string" ? host : "another host", until: typeof until === "string" ? until : "" };
}

const DEAD_TOKENS: ReadonlySet<string> = new Set([
  "unauthorized",
  "provisioner-token-revoked",
  "provisioner-token-expired",
]);

/** Whether nothing can be done with this token any more. */
export function isTokenRefused(error: unknown): error is RefusedError {
  return error instanceof RefusedError && error.status === 401 && DEAD_TOKENS.has(error.code);
}
