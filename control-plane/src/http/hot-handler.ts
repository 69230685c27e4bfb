import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { ApiError } from "@shipfox/shared/errors";
import type { Proven } from "./authenticate.ts";
import { DEFAULT_BODY_LIMIT_BYTES, errorReply, execute, type RawRequest, type Services } from "./execute.ts";
import { findRoute, indexRoutes } from "./match.ts";
import { asAccepted } from "./problem.ts";
import { requestId } from "./request-id.ts";
import type { Credential, Reply, Route } from "./route.ts";
import { SseStream } from "./sse.ts";

/**
 * Serves the hot routes straight on node:http, several times cheaper than through Express, and hands everything else on.
 * Both ways run the same `execute` over the same table.
 */
export function createHotHandler(routes: readonly Route[], services: Services, next: RequestListener): RequestListener {
  // All of them: another route's path may look like one of a hot route.
  const index = indexRoutes(routes);
  return (incoming, response) => {
    const path = pathOf(incoming);
    const match = findRoute(index, incoming.method ?? "GET", path);
    services.requests.count(match?.route ?? null, response);
    if (match) services.accessLog?.routed(incoming, match.route.path);
    if (!match?.route.hot) return next(incoming, response);
    const query = new URLSearchParams((incoming.url ?? "").slice(path.length + 1));
    void serve(match.route, match.params, query, incoming, response, services);
  };
}

/** Of those that Express adds, the ones that matter to replies that are no pages. */
const SECURITY_HEADERS = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none';frame-ancestors 'none'",
};

async function serve(
  route: Route,
  params: Record<string, string>,
  query: URLSearchParams,
  incoming: IncomingMessage,
  response: ServerResponse,
  services: Services,
): Promise<void> {
  let reply: Reply;
  for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
  try {
    // Before a byte of the body is kept: strangers must not fill our memory.
    const proven = await services.authenticate(route.credential, incoming.headers.authorization);
    services.accessLog?.proven(incoming, route.credential, proven);
    countCall(route, proven, incoming, response, services);
    const body = await readBody(incoming, route.bodyLimitBytes ?? DEFAULT_BODY_LIMIT_BYTES);
    reply = await execute(route, proven, rawRequest(incoming, response, { params, query, body }, services), services);
  } catch (error) {
    reply = errorReply(error, services.log);
    discardBody(incoming, response);
  }
  sendReply(response, reply);
}

/** What a refused client still sends is read and dropped, and its connection ends with the reply. */
export function discardBody(incoming: IncomingMessage, response: ServerResponse): void {
  if (incoming.complete) return;
  incoming.resume();
  response.setHeader("connection", "close");
}

export function rawRequest(
  incoming: IncomingMessage,
  response: ServerResponse,
  parts: Pick<RawRequest, "params" | "query" | "body">,
  { clientAddress }: Pick<Services, "clientAddress">,
): RawRequest {
  let controller: AbortController | undefined;
  return {
    ...parts,
    // Now, because a socket that has closed knows no address any more.
    ip: clientAddress(incoming),
    get id() {
      return requestId(incoming);
    },
    path: pathOf(incoming),
    headers: incoming.headers,
    header: (name) => {
      const value = incoming.headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
    get signal() {
      if (!controller) {
        const made = new AbortController();
        controller = made;
        if (response.closed) made.abort();
        else response.once("close", () => response.writableFinished || made.abort());
      }
      return controller.signal;
    },
  };
}

function readBody(incoming: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const length = incoming.headers["content-length"];
  if (length === "0" || (length === undefined && incoming.headers["transfer-encoding"] === undefined)) {
    incoming.resume();
    return Promise.resolve(Buffer.alloc(0));
  }
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    incoming.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > limitBytes) {
        incoming.removeAllListeners("data");
        incoming.resume();
        reject(
          new ApiError("body-too-large", `the body is over the limit of ${limitBytes} bytes`, {
            headers: { connection: "close" },
          }),
        );
      } else chunks.push(chunk);
    });
    incoming.once("end", () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks, size)));
    incoming.once("error", () =>
      reject(new ApiError("invalid-content-length", "the connection broke before the whole body arrived")),
    );
    incoming.once("aborted", () =>
      reject(new ApiError("invalid-content-length", "the connection broke before the whole body arrived")),
    );
  });
}

/** Without the query. */
function pathOf({ url = "/" }: IncomingMessage): string {
  const queryStart = url.indexOf("?");
  return queryStart < 0 ? url : url.slice(0, queryStart);
}

/** Counts the call towards its limit, before a byte of the body is read. Throws 429 `rate-limited`. */
export function countCall(
  route: Route,
  proven: Proven<Credential>,
  incoming: IncomingMessage,
  response: ServerResponse,
  { limits, clientAddress }: Pick<Services, "limits" | "clientAddress">,
): void {
  const headers = limits.take(route, proven, clientAddress(incoming));
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
}

export function sendReply(response: ServerResponse, answer: Reply): void {
  if (response.destroyed) return;
  const reply = asAccepted(answer, response.req.headers.accept, pathOf(response.req));
  if ("stream" in reply) {
    reply.stream(new SseStream(response));
    return;
  }
  if ("chunks" in reply) {
    response.writeHead(reply.status, { "content-type": "text/plain; charset=utf-8", ...reply.headers });
    // The source reports its own failures; a client that hangs up is no fault.
    pipeline(reply.chunks, response).catch(() => undefined);
    return;
  }
  const { status, body, headers } = reply;
  if (body === undefined) {
    response.writeHead(status, headers).end();
  } else if (typeof body === "string" || Buffer.isBuffer(body)) {
    response
      .writeHead(status, {
        "content-type": "text/plain; charset=utf-8",
        "content-length": Buffer.byteLength(body),
        ...headers,
      })
      .end(body);
  } else {
    const text = JSON.stringify(body);
    response
      .writeHead(status, {
        "content-type": "application/json; charset=utf-8",
        "content-length": Buffer.byteLength(text),
        ...headers,
      })
      .end(text);
  }
}
