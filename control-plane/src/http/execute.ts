import { ApiError } from "@shipfox/shared/errors";
import type { Logger } from "@shipfox/shared/logger";
import type { z } from "zod";
import type { AccessLog } from "./access-log.ts";
import { ForbiddenError } from "./access.ts";
import type { Authenticate, Proven } from "./authenticate.ts";
import type { Caller, UserPrincipal } from "./caller.ts";
import type { ClientAddress } from "./client-address.ts";
import { type Idempotency, lostItsKey } from "./idempotency.ts";
import type { IdempotentCall } from "../store/store.ts";
import { originOf } from "./origin.ts";
import type { RequestCounts } from "./request-counts.ts";
import type { RateLimits } from "./rate-limits.ts";
import { isTooDeep, MAX_JSON_DEPTH } from "./json-depth.ts";
import type { Credential, Reply, RequestFacts, Route } from "./route.ts";
import type { StreamTickets } from "./stream-tickets.ts";
import { valuesByName } from "./values-by-name.ts";

export const DEFAULT_BODY_LIMIT_BYTES = 1024 * 1024;

/** A request as both adapters hand it over: nothing parsed but the path. */
export interface RawRequest extends RequestFacts {
  readonly params: Record<string, string>;
  readonly body: Buffer;
}

export interface Services {
  readonly requests: RequestCounts;
  /** Null where none is kept. */
  readonly accessLog: AccessLog | null;
  readonly authenticate: Authenticate;
  readonly tickets: StreamTickets;
  /** Whether a sign-in that was proven is still good: nobody has suspended the user or ended his session since. */
  readonly isGood: (principal: UserPrincipal) => Promise<boolean>;
  /** Told of calls that were refused for want of a right; keeps them for the audit log. */
  readonly forbidden: (caller: Caller, workspaceId: string | null, reason: string) => void;
  readonly clientAddress: ClientAddress;
  readonly limits: RateLimits;
  /** Null where nothing is kept, and keys have no effect. */
  readonly idempotency: Idempotency | null;
  readonly log: Logger;
}

/**
 * Validates and runs the handler for somebody who was authenticated before the body was read. Never throws: every
 * failure is an error reply.
 */
export async function execute(
  route: Route,
  proven: Proven<Credential>,
  request: RawRequest,
  services: Services,
): Promise<Reply> {
  const user = route.credential === "user" ? (proven as UserPrincipal) : null;
  const { idempotency } = services;
  let caller: Caller | null = null;
  let call: IdempotentCall | null = null;
  try {
    call = user && idempotency ? idempotency.callOf(route, user, request, request.body) : null;
    caller = user && { ...user, needs: route.needs ?? "account", origin: originOf(request), call };
    if (caller) refuseToken(caller);
    if (caller) await requireStanding(caller, services);
    const earlier = call && idempotency ? await idempotency.replay(call) : null;
    if (earlier) return earlier;
    const reply = await route.handle({
      principal: caller ?? (proven as Caller),
      params: route.params ? validate(route.params, request.params, "params") : undefined,
      query: route.query ? validate(route.query, valuesByName(request.query), "querystring") : undefined,
      body: route.raw ? requireMediaType(route.raw, request) : jsonBody(route, request),
      rawBody: request.body,
      request,
    });
    if (call && idempotency) await idempotency.keep(call, reply);
    return reply;
  } catch (error) {
    if (call && lostItsKey(error)) return await replayOf(call, services);
    if (caller && error instanceof ForbiddenError) services.forbidden(caller, error.workspaceId, error.message);
    return errorReply(error, services.log);
  }
}

/** For a call that lost to another one with its key. */
async function replayOf(call: IdempotentCall, { idempotency, log }: Services): Promise<Reply> {
  try {
    const reply = await idempotency?.replay(call);
    return reply ?? errorReply(new ApiError("idempotency-replay-unavailable"), log);
  } catch (error) {
    return errorReply(error, log);
  }
}

/** What concerns the person, or the whole server, is not for a token of his. */
function refuseToken({ token, needs }: Caller): void {
  if (!token || (needs !== "account" && !needs.startsWith("instance:"))) return;
  throw new ForbiddenError(
    "a personal access token cannot do this; sign in and use the access token of the sign-in",
    token.workspaceId,
    { needed: needs },
  );
}

/**
 * An access token of a sign-in proves itself, for minutes after the session has ended. Rights in a workspace or over the
 * server are looked up live; where none are asked for, this is.
 */
async function requireStanding(caller: Caller, { isGood }: Services): Promise<void> {
  if (caller.token || (caller.needs !== "account" && caller.needs !== "identity")) return;
  if (await isGood(caller)) return;
  throw new ApiError("unauthorized", "the session has ended; sign in again");
}

export function errorReply(error: unknown, log: Logger): Reply {
  if (isClientFacing(error)) return { status: error.status, body: error.toBody(), headers: error.headers };
  log.error({ err: error }, "a request failed unexpectedly");
  return { status: 500, body: new ApiError("server-error").toBody() };
}

/** ApiError, and the store's own errors, which carry the same three things. */
function isClientFacing(error: unknown): error is ApiError {
  return error instanceof ApiError;
}

function validate<S extends z.ZodType>(schema: S, value: unknown, context: string): z.output<S> {
  const result = parse(schema, value, context);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const field = issue?.path.join(".") ?? "";
  throw new ApiError("validation-error", `[${context}] ${field ? `${field}: ` : ""}${issue?.message ?? "invalid"}`);
}

/** Bounds of a list or text are compared with whatever is called `length`, which `{"length": {"toString": 1}}` does not survive. */
function parse<S extends z.ZodType>(schema: S, value: unknown, context: string) {
  try {
    return schema.safeParse(value);
  } catch (error) {
    if (!(error instanceof TypeError && error.message.includes("primitive value"))) throw error;
    throw new ApiError("validation-error", `[${context}] a length is not a number`);
  }
}

function requireMediaType(expected: string | readonly string[], request: RawRequest): undefined {
  const type = mediaType(request);
  if (request.body.length === 0 || [expected].flat().includes(type)) return undefined;
  const code = typeof expected === "string" ? "invalid-media-type" : "unsupported-media-type";
  throw new ApiError(code, `expected the content type ${[expected].flat().join(" or ")}, got ${type || "none"}`);
}

function jsonBody(route: Route, request: RawRequest): unknown {
  if (!route.body) return undefined;
  const type = mediaType(request);
  if (request.body.length === 0) {
    if (route.optionalBody) return undefined;
    if (type === "application/json") throw new ApiError("empty-json-body", "the body is empty; send a JSON object");
    throw new ApiError("validation-error", "[body] a JSON body is required");
  }
  if (type !== "application/json")
    throw new ApiError("invalid-media-type", `expected the content type application/json, got ${type || "none"}`);
  if (isTooDeep(request.body))
    throw new ApiError("invalid-json-body", `the body is nested deeper than ${MAX_JSON_DEPTH} levels`);
  let parsed: unknown;
  try {
    parsed = JSON.parse(request.body.toString("utf8"));
  } catch (error) {
    throw new ApiError("invalid-json-body", `the body is not JSON: ${withoutExcerpt((error as Error).message)}`);
  }
  if (request.body.includes("\\u0000") && hasNul(parsed))
    throw new ApiError("validation-error", "[body] text must not hold NUL characters");
  return validate(route.body, parsed, "body");
}

/** The parser quotes from the body, which may hold a secret. */
function withoutExcerpt(message: string): string {
  return message.replace(/, (?:\.\.\.)?".*$/s, "");
}

/** NUL cannot be stored as text in PostgreSQL, so it is refused at the edge. */
function hasNul(value: unknown): boolean {
  if (typeof value === "string") return value.includes("\0");
  if (Array.isArray(value)) return value.some(hasNul);
  return (
    typeof value === "object" &&
    value !== null &&
    Object.entries(value).some(([key, inner]) => key.includes("\0") || hasNul(inner))
  );
}

function mediaType(request: RequestFacts): string {
  return (request.header("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}
