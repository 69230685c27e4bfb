import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { encodeLogRecord, type LogRecord } from "./log-records.ts";

export interface StandInRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: unknown;
}

export interface StandInReply {
  status?: number;
  body?: unknown;
  headers?: Record<string, string>;
}

type Handler = (
  request: StandInRequest,
  response: ServerResponse,
) => StandInReply | undefined | Promise<StandInReply | undefined>;

/**
 * A control plane for tests of those who call it: a real HTTP server that answers what the test says. A handler returns a
 * reply, or undefined when it writes the response itself. Every request is kept in `requests`.
 */
export class StandInServer implements AsyncDisposable {
  readonly requests: StandInRequest[] = [];
  readonly #routes: { method: string; pattern: RegExp; handler: Handler }[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<StandInServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new StandInServer(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** `route` is `METHOD /path`, where `*` stands for one part. Later routes win. */
  on(route: string, handler: Handler | StandInReply): this {
    const [method = "", path = ""] = route.split(" ");
    const pattern = new RegExp(`^${path.replaceAll("*", "[^/]+")}$`);
    this.#routes.unshift({ method, pattern, handler: typeof handler === "function" ? handler : () => handler });
    return this;
  }

  /** The requests to `route`, in order. */
  seen(route: string): StandInRequest[] {
    const [method = "", path = ""] = route.split(" ");
    const pattern = new RegExp(`^${path.replaceAll("*", "[^/]+")}$`);
    return this.requests.filter((request) => request.method === method && pattern.test(request.path));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? "/", this.url);
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const request: StandInRequest = {
      method: incoming.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body: text === "" ? undefined : JSON.parse(text),
    };
    this.requests.push(request);
    const route = this.#routes.find(({ method, pattern }) => method === request.method && pattern.test(request.path));
    const reply = route
      ? await route.handler(request, response)
      : { status: 404, body: { code: "not-found", message: `the stand-in has no ${request.method} ${request.path}` } };
    if (!reply) return;
    response.writeHead(reply.status ?? 200, { "content-type": "application/json", ...reply.headers });
    response.end(reply.body === undefined ? undefined : JSON.stringify(reply.body));
  }
}

/** A log as the server streams it: frames whose id is the byte offset behind their records. */
export class StreamedLog {
  readonly frames: { start: number; end: number; text: string }[] = [];
  #offset = 0;

  add(...records: LogRecord[]): this {
    const ndjson = records.map(encodeLogRecord).join("");
    const start = this.#offset;
    this.#offset += Buffer.byteLength(ndjson);
    const data = ndjson.trimEnd().replaceAll("\n", "\ndata: ");
    this.frames.push({ start, end: this.#offset, text: `id: ${this.#offset}\nevent: log\ndata: ${data}\n\n` });
    return this;
  }

  /** The frames a reader who has everything up to `lastEventId` still needs. */
  after(lastEventId: string | string[] | undefined): string[] {
    const offset = Number(lastEventId ?? 0);
    return this.frames.filter((frame) => frame.end > offset).map((frame) => frame.text);
  }

  static end(truncated: boolean): string {
    return `event: state\ndata: ${JSON.stringify({ state: "end", truncated })}\n\n`;
  }
}

export function openEventStream(response: ServerResponse): void {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
}
