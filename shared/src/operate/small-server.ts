import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

const MAX_CONNECTIONS = 32;
const REQUEST_LIMIT_MS = 5_000;
const MAX_HEADER_BYTES = 8 * 1024;

export interface SmallReply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Answers one `METHOD /path`. `gone` is aborted when the caller hung up. */
export type SmallHandler = (gone: AbortSignal) => Promise<SmallReply>;

export function jsonReply(status: number, value: unknown): SmallReply {
  return { status, contentType: "application/json", body: `${JSON.stringify(value)}\n` };
}

export function textReply(status: number, text: string): SmallReply {
  return { status, contentType: "text/plain; charset=utf-8", body: `${text}\n` };
}

/**
 * A server for the few local callers of a daemon: no bodies, no kept connections, few at once, slow ones cut. `routes` maps
 * "GET /path" to its handler.
 */
export function createSmallServer(routes: Readonly<Record<string, SmallHandler>>): Server {
  const server = createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, headersTimeout: REQUEST_LIMIT_MS, requestTimeout: REQUEST_LIMIT_MS },
    (request, response) => void serve(routes, request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

async function serve(
  routes: Readonly<Record<string, SmallHandler>>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  request.resume();
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const handler = Object.hasOwn(routes, `${request.method} ${path}`) ? routes[`${request.method} ${path}`] : undefined;
  const reply = handler
    ? await handler(gone.signal).catch((error: Error) => textReply(500, error.message))
    : textReply(404, `There is ${Object.keys(routes).join(", ")}.`);
  if (response.destroyed) return;
  response.writeHead(reply.status, { "content-type": reply.contentType, connection: "close" });
  response.end(reply.body);
}
