import { RUNNER_VERSION_HEADER } from "@shipfox/shared/machine";
import { VERSION } from "@shipfox/shared/version";
import { onTestFinished } from "vitest";
import { bearerOf, serveApi, testTokens, type ApiReply } from "../../testing/api.ts";
import type { Route } from "../../http/route.ts";
import { systemClock } from "../../store/clock.ts";
import type { Store } from "../../store/store.ts";
import { createWaitingPort, type Dispatch, type DispatchSettings, recordLateCalls } from "../dispatch/public.ts";
import { createRunRoutes } from "../runs/public.ts";
import { type CheckoutPort, createMachineRoutes } from "./machine-routes.ts";
import { noInstances } from "./no-instances.fixture.ts";
import type { InstancesPort } from "./register.ts";
import { TestPlane } from "./test-plane.ts";
import { createUserRunnerRoutes } from "./user-routes.ts";

const ADMIN = "00000000-0000-7000-8000-000000000001";
const LEASE_TERM_MS = 40_000;
const HOUR_MS = 3_600_000;

const AUTH = {
  kind: "basic",
  carry: "header",
  username: "git",
  token: "token-of-git",
  expires_at: "2030-01-01T00:00:00.000Z",
  host: "git.example",
  persist: false,
} as const;

type CheckoutRequest = Parameters<CheckoutPort["checkout"]>[0];

export interface WireCall {
  readonly token?: string;
  /** Sent as JSON; a Buffer as log records. */
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

/** What a claim answers, as the tests use it. */
export interface WireClaim {
  readonly job_id: string;
  readonly job_execution_id: string;
  readonly workflow_run_id: string;
  readonly lease_token: string;
  readonly lease: { readonly fence: number };
}

export interface WireStep {
  readonly id: string;
  readonly attempt: number;
  readonly lease_token: string;
}

/** The machine protocol on a real port, behind both adapters: a TestPlane to act behind it and calls as clients make them. */
export class ServedPlane {
  readonly inside: TestPlane;
  readonly url: string;
  /** What was asked of the port to repositories, in order. */
  readonly checkouts: readonly CheckoutRequest[];

  private constructor(inside: TestPlane, url: string, checkouts: readonly CheckoutRequest[]) {
    this.inside = inside;
    this.url = url;
    this.checkouts = checkouts;
  }

  static async start(
    store: Store,
    options: {
      settings?: Partial<DispatchSettings>;
      version?: string;
      more?: (store: Store, dispatch: Dispatch) => Route[];
      instances?: InstancesPort;
      onDemandChange?: (workspaceId: string) => void;
    } = {},
  ): Promise<ServedPlane> {
    const settings = { leaseTermMs: LEASE_TERM_MS, ...options.settings };
    const inside = await TestPlane.start(store, settings, { onDemandChange: options.onDemandChange });
    const version = options.version ?? VERSION;
    const { dispatch } = inside;
    const checkouts: CheckoutRequest[] = [];
    const access = { role: async () => "owner" as const, instanceRole: async () => null };
    const base = { store, clock: systemClock, dispatch };
    const api = await serveApi([
      ...createMachineRoutes({
        ...base,
        tokens: testTokens,
        logs: dispatch.deps.logs,
        checkout: {
          checkout: async (request) => {
            checkouts.push(request);
            return { isOwn: true, repository_url: "https://git.example/app", ref: "main", fetch_depth: 1, auth: AUTH };
          },
        },
        instances: options.instances ?? noInstances,
        secrets: { open: async (_tx, _place, keys) => new Map([...keys].map((key) => [key, `value of ${key}`])) },
        settings: { outageLimitMs: HOUR_MS, leaseTermMs: LEASE_TERM_MS, heartbeatIntervalMs: 10_000, version },
      }),
      ...createRunRoutes({
        ...base,
        access,
        waiting: createWaitingPort(dispatch),
        runs: dispatch.runs,
        readDocument: async () => null,
      }),
      ...createUserRunnerRoutes({ ...base, access, version }),
      ...recordLateCalls(dispatch, options.more?.(store, dispatch) ?? []),
    ]);
    onTestFinished(() => api.close());
    return new ServedPlane(inside, api.url, checkouts);
  }

  async call(method: string, path: string, { token, body, headers, signal }: WireCall = {}): Promise<ApiReply> {
    const isRaw = Buffer.isBuffer(body);
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": isRaw ? "application/x-ndjson" : "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: isRaw ? new Uint8Array(body) : JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === "" ? null : JSON.parse(text) };
  }

  /** A call of an administrator of the workspace. */
  asUser(method: string, path: string, body?: unknown): Promise<ApiReply> {
    const headers = { authorization: bearerOf(ADMIN) };
    return this.call(method, path, body === undefined ? { headers } : { headers, body });
  }

  async register(options: { labels?: string[]; version?: string; token?: string; persistent?: boolean } = {}) {
    return this.call("POST", "/runners/register", {
      token: options.token ?? (await this.inside.registrationToken()),
      body: { labels: options.labels ?? ["linux"], ...(options.persistent ? { persistent: true } : {}) },
      headers: options.version === undefined ? {} : { [RUNNER_VERSION_HEADER]: options.version },
    });
  }

  /** The session token of a new runner. */
  async session(labels: string[] = ["linux"]): Promise<string> {
    return (await this.register({ labels })).body.session_token;
  }

  claim(session: string, options: { query?: string; key?: string; version?: string } = {}): Promise<ApiReply> {
    return this.call("POST", `/runners/jobs/request${options.query ?? ""}`, {
      token: session,
      headers: {
        ...(options.key === undefined ? {} : { "idempotency-key": options.key }),
        ...(options.version === undefined ? {} : { [RUNNER_VERSION_HEADER]: options.version }),
      },
    });
  }

  heartbeat(job: Pick<WireClaim, "job_id" | "lease_token">, query = ""): Promise<ApiReply> {
    return this.call("POST", `/runners/jobs/${job.job_id}/heartbeat${query}`, { token: job.lease_token });
  }

  next(leaseToken: string): Promise<ApiReply> {
    return this.call("POST", "/runs/jobs/current/steps/next", { token: leaseToken });
  }

  report(stepId: string, leaseToken: string, body: unknown): Promise<ApiReply> {
    return this.call("POST", `/runs/jobs/current/steps/${stepId}/report`, { token: leaseToken, body });
  }

  append(step: WireStep, offset: number, records: string, leaseToken = step.lease_token): Promise<ApiReply> {
    return this.call("POST", `/runs/jobs/current/steps/${step.id}/logs?attempt=${step.attempt}&offset=${offset}`, {
      token: leaseToken,
      body: Buffer.from(records),
    });
  }

  release(job: Pick<WireClaim, "job_id" | "lease_token">, reason: string): Promise<ApiReply> {
    return this.call("POST", `/runners/jobs/${job.job_id}/release`, { token: job.lease_token, body: { reason } });
  }

  /** Fires a run and claims its job with a new runner. */
  async runningJob(
    yaml?: string,
    origin: { untrusted?: boolean } = {},
  ): Promise<{ session: string; runId: string; job: WireClaim }> {
    const runId = await this.inside.fire(yaml ?? workflowOfOneStep(), undefined, undefined, origin);
    const session = await this.session();
    const { body } = await this.claim(session);
    return { session, runId, job: body };
  }

  /** The step that runs now, started when none does. */
  async startedStep(leaseToken: string): Promise<WireStep> {
    const { body } = await this.next(leaseToken);
    return { id: body.step.id, attempt: body.attempt, lease_token: body.lease_token };
  }
}

function workflowOfOneStep(): string {
  return "name: test\njobs:\n  build:\n    runner: linux\n    steps: [{ run: 'true' }]\n";
}
/** Log records as a runner writes them: one line of output each. */
export function logLines(...lines: string[]): string {
  return lines
    .map(
      (line, index) => `${JSON.stringify({ v: 1, ts: index, type: "output", stream: "stdout", data: `${line}\n` })}\n`,
    )
    .join("");
}

export const SUCCEEDED = { status: "succeeded", log_outcome: "drained", attempt: 1, exit_code: 0 } as const;
export const FAILED = {
  status: "failed",
  log_outcome: "drained",
  attempt: 1,
  error: { message: "exited with code 1", exit_code: 1 },
} as const;
