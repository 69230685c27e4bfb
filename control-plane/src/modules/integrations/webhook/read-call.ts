import type { IncomingHttpHeaders } from "node:http";
import { MAX_DELIVERY_ID_CHARS } from "@shipfox/shared/api/webhook-connections";
import { ApiError } from "@shipfox/shared/errors";
import { isTooDeep, MAX_JSON_DEPTH } from "../../../http/json-depth.ts";
import { valuesByName } from "../../../http/values-by-name.ts";

/** Source of these limits: the published API. */
const MAX_HEADER_BYTES = 8 * 1024;
const MAX_HEADERS_BYTES = 64 * 1024;
const MAX_QUERY_BYTES = 8 * 1024;
/** Of a form. Many in few bytes take the parser far longer than their number lets expect, and it is not interrupted. */
const MAX_FORM_FIELDS = 10_000;

export const CALL_MEDIA_TYPES = ["application/json", "application/x-www-form-urlencoded", "text/plain"] as const;

/** Headers whose values workflows may see; of all others only that they were there: they hold credentials. */
const SHOWN_HEADERS = new Set(["content-type", "user-agent", "x-delivery-id", "x-request-id"]);
const REDACTED = "[redacted]";

/** A call of a custom webhook as it came. */
export interface WebhookCall {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly query: URLSearchParams;
  readonly body: Buffer;
}

/** What filters read as `event`. */
export interface CallPayload extends Record<string, unknown> {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string | string[]>>;
  readonly body: unknown;
}

/** Throws 400 `malformed-payload` and `invalid-webhook-request`. */
export function readCall({ method, headers, query, body }: WebhookCall): CallPayload {
  const given = Object.entries(headers).map(([name, value]) => [name, [value].flat().join(", ")] as const);
  const sizes = given.map(([name, value]) => Buffer.byteLength(name) + Buffer.byteLength(value));
  if (sizes.some((size) => size > MAX_HEADER_BYTES)) throw tooLarge("a header", MAX_HEADER_BYTES);
  if (sizes.reduce((sum, size) => sum + size, 0) > MAX_HEADERS_BYTES) throw tooLarge("the headers", MAX_HEADERS_BYTES);
  if (query.toString().length > MAX_QUERY_BYTES) throw tooLarge("the query", MAX_QUERY_BYTES);
  return {
    method,
    headers: Object.fromEntries(given.map(([name, value]) => [name, SHOWN_HEADERS.has(name) ? value : REDACTED])),
    query: valuesByName(query),
    body: readBody(body, headers["content-type"] ?? ""),
  };
}

/**
 * What the sender calls its delivery; null when it does not say. Of a signed call only the name that was signed counts.
 * Throws 400 `delivery-id-too-long`.
 */
export function deliveryIdOf(headers: IncomingHttpHeaders, isSigned: boolean): string | null {
  const named = isSigned ? headers["webhook-id"] : (headers["x-delivery-id"] ?? headers["webhook-id"]);
  const [id] = [named].flat();
  if (id === undefined || id === "") return null;
  if (id.length > MAX_DELIVERY_ID_CHARS) {
    throw new ApiError("delivery-id-too-long", `a delivery id has at most ${MAX_DELIVERY_ID_CHARS} characters`);
  }
  return id;
}

function readBody(body: Buffer, contentType: string): unknown {
  const type = contentType.split(";", 1)[0]?.trim().toLowerCase();
  const text = body.toString("utf8");
  if (type === "application/x-www-form-urlencoded") {
    if (hasMoreFields(body, MAX_FORM_FIELDS)) throw malformed(`the form has more than ${MAX_FORM_FIELDS} fields`);
    return valuesByName(new URLSearchParams(text));
  }
  if (type !== "application/json") return text;
  if (isTooDeep(body)) throw malformed(`it is nested deeper than ${MAX_JSON_DEPTH} levels`);
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // The parser quotes from the body.
    throw malformed("it is not JSON");
  }
}

/** Without taking it apart. */
function hasMoreFields(form: Buffer, limit: number): boolean {
  let fields = 1;
  for (let at = form.indexOf("&"); at !== -1 && fields <= limit; at = form.indexOf("&", at + 1)) fields += 1;
  return fields > limit;
}

function malformed(why: string): ApiError {
  return new ApiError("malformed-payload", `the body is refused because ${why}`);
}

function tooLarge(what: string, limit: number): ApiError {
  return new ApiError("invalid-webhook-request", `${what} has more than ${limit} bytes`);
}
