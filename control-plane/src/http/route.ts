import type { IncomingHttpHeaders } from "node:http";
import type { ErrorCode } from "@shipfox/shared/errors";
import type { z } from "zod";
import type { Caller, Need } from "./caller.ts";
import type { RateClass } from "./rate-class.ts";
import type { SseStream } from "./sse.ts";

/** Who must be calling. The adapters authenticate before anything of the request is validated. */
export type Credential = "none" | "user" | "registration" | "runner-session" | "lease" | "provisioner";

/** Bearer `sf_mrt_…`, `sf_ert_…` or `sf_rt_…`; which one, and whether it is good, is decided by the runners module. */
export interface RegistrationPrincipal {
  readonly token: string;
}

/** Bearer `sf_pt_…`; whether it is good is decided by the provisioners module. */
export interface ProvisionerPrincipal {
  readonly token: string;
}

export interface RunnerSessionPrincipal {
  readonly sessionId: string;
  readonly workspaceId: string;
}

export interface LeasePrincipal {
  readonly fence: number;
  readonly sessionId: string;
  readonly runnerId: string;
  readonly workspaceId: string;
  readonly projectId: string;
  readonly runId: string;
  readonly runAttemptId: string;
  readonly runAttempt: number;
  readonly jobId: string;
  readonly executionId: string;
  readonly stepId: string | null;
  readonly stepAttempt: number | null;
}

export interface Principals {
  none: null;
  user: Caller;
  registration: RegistrationPrincipal;
  "runner-session": RunnerSessionPrincipal;
  lease: LeasePrincipal;
  provisioner: ProvisionerPrincipal;
}

export interface RequestFacts {
  readonly ip: string;
  /** What the client sent in `X-Request-Id`, or an id made here; the reply carries it. */
  readonly id: string;
  /** Without the query. */
  readonly path: string;
  header(name: string): string | undefined;
  /** All of them by their lower-case names, and the query as it came: for routes that take whatever somebody sends. */
  readonly headers: IncomingHttpHeaders;
  readonly query: URLSearchParams;
  /** Aborted when the client hangs up before the reply was written. */
  readonly signal: AbortSignal;
}

export interface RouteContext<C extends Credential, Params, Query, Body> {
  readonly principal: Principals[C];
  readonly params: Params;
  readonly query: Query;
  readonly body: Body;
  /** The bytes of the body as they came; what a `raw` route works on. */
  readonly rawBody: Buffer;
  readonly request: RequestFacts;
}

/**
 * What a handler answers. `body` undefined sends no body; a Buffer or string is sent as it is with its content type.
 * `chunks` is a text of unknown length, taken as fast as the client reads; a failure in it cuts the connection.
 */
export type Reply =
  | { readonly status: number; readonly body?: unknown; readonly headers?: Record<string, string | string[]> }
  | {
      readonly status: number;
      readonly chunks: AsyncIterable<string | Uint8Array>;
      readonly headers?: Record<string, string>;
    }
  | { readonly status: number; readonly stream: (sse: SseStream) => void };

type Output<S> = S extends z.ZodType ? z.output<S> : undefined;
type AnySchema = z.ZodType | undefined;

/**
 * A route is data: the adapters, the OpenAPI document and the contract tests all read the same table.
 *
 * `responses` maps a status to its JSON schema, or to null for an empty body, or to "sse", "text" or "file", which is bytes.
 * `hot` routes are also served by the raw handler in front of Express and must not rely on anything Express does.
 * `raw` names the content type, or all content types, of a route that works on `rawBody` instead of parsed JSON.
 * `needs` is what a route of users asks of its caller; every such route has it. `audit` is the action that a route which
 * changes something writes to the audit log, as `project.created`.
 */
export interface Route<
  C extends Credential = Credential,
  Params extends AnySchema = AnySchema,
  Query extends AnySchema = AnySchema,
  Body extends AnySchema = AnySchema,
> {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** `/workflows/runs/{id}`: names in braces are path parameters. */
  readonly path: string;
  readonly tag: string;
  readonly summary: string;
  readonly credential: C;
  readonly needs?: Need;
  readonly audit?: string;
  /** What its calls count towards, where that is not told by method and `needs`; `none` where they are not counted here. */
  readonly rate?: RateClass | "none";
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  /** The body may be absent; `body` is then undefined in the context. */
  readonly optionalBody?: boolean;
  readonly raw?: string | readonly string[];
  readonly bodyLimitBytes?: number;
  readonly responses: Readonly<Record<number, z.ZodType | null | "sse" | "text" | "file">>;
  /** The content types of a "text" that is no plain one. */
  readonly produces?: readonly string[];
  readonly errors?: readonly ErrorCode[];
  readonly hot?: boolean;
  handle(context: RouteContext<C, Output<Params>, Output<Query>, Output<Body>>): Promise<Reply>;
}

/** Infers the context's types from the schemas; adds nothing at run time. */
export function route<
  const C extends Credential,
  Params extends AnySchema = undefined,
  Query extends AnySchema = undefined,
  Body extends AnySchema = undefined,
>(definition: Route<C, Params, Query, Body> & (C extends "user" ? { readonly needs: Need } : unknown)): Route {
  return definition;
}
