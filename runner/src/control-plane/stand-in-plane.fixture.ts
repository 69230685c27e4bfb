import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { findMalformedRecord } from "@shipfox/shared/log-records";

export interface PlaneRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  token: string;
  idempotencyKey: string;
  body: Buffer;
  /** Settles when the client went away before it was answered. */
  gone: Promise<void>;
}

/** What the plane does with a request: an answer, or "drop": the connection is cut without one. */
export type PlaneAnswer = { status: number; json?: unknown; headers?: Record<string, string> } | "drop";
export type PlaneHandler = (request: PlaneRequest) => PlaneAnswer | Promise<PlaneAnswer>;

/** A control plane for tests over real HTTP: the test decides what each route answers. Unknown routes answer 404. */
export class StandInPlane {
  readonly requests: PlaneRequest[] = [];
  private readonly routes: { pattern: RegExp; handler: PlaneHandler }[] = [];
  private readonly server = createServer((request, response) => void this.serve(request, response));
  private port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The newest route that matches `method path` wins. */
  on(pattern: RegExp, handler: PlaneHandler): void {
    this.routes.unshift({ pattern, handler });
  }

  /** Listens; after `stop` on the same port again, as a restarted control plane does. */
  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(this.port, "127.0.0.1", resolve));
    this.port = (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const url = new URL(request.url ?? "/", "http://plane");
    const seen: PlaneRequest = {
      method: request.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      token: (request.headers.authorization ?? "").replace(/^Bearer /, ""),
      idempotencyKey: String(request.headers["idempotency-key"] ?? ""),
      body: Buffer.concat(parts),
      gone: new Promise((resolve) => response.on("close", () => void (response.writableFinished || resolve()))),
    };
    this.requests.push(seen);
    const route = this.routes.find(({ pattern }) => pattern.test(`${seen.method} ${seen.path}`));
    const answer = route ? await route.handler(seen) : { status: 404, json: { code: "not-found" } };
    if (answer === "drop") return void request.socket.destroy();
    response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
    response.end(answer.json === undefined ? undefined : JSON.stringify(answer.json));
  }
}

/** One log stream with the offset algebra of the machine protocol. */
export class StandInLog {
  content = Buffer.alloc(0);
  isClosed = false;
  budgetBytes = Number.POSITIVE_INFINITY;

  append(offset: number, chunk: Buffer): Exclude<PlaneAnswer, "drop"> {
    const fault = findMalformedRecord(chunk);
    if (fault !== null) return { status: 400, json: { code: "malformed-log-chunk", message: fault } };
    const committed = this.content.length;
    const reply = (capped: boolean) => ({ status: 200, json: { committed_length: this.content.length, capped } });
    if (this.isClosed || chunk.length === 0) return reply(false);
    if (offset + chunk.length <= committed) return reply(false);
    if (offset !== committed)
      return { status: 409, json: { code: "offset-gap", details: { committed_length: committed } } };
    this.content = Buffer.concat([this.content, chunk]);
    return reply(this.content.length > this.budgetBytes);
  }
}
