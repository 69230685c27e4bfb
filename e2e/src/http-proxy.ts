import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Stage } from "./stage.ts";

/** Longer than any client keeps an idle connection. */
const KEEP_ALIVE_MS = 90_000;

/** What is done to a request. Where there are several, the newest rule that fits counts. */
export type Trouble =
  /** It arrives and is answered, but the connection breaks before the answer is through. */
  | { readonly kind: "lose-answer" }
  /** The connection breaks before it arrives. */
  | { readonly kind: "lose-request" }
  /** It arrives twice at once; the sender gets one of the two answers. */
  | { readonly kind: "twice" }
  /** None: it is only noted. */
  | { readonly kind: "watch" }
  /** It never arrives; the sender is told this by somebody else. */
  | { readonly kind: "answer"; readonly status: number; readonly body: (request: ProxiedRequest) => unknown };

export interface Rule {
  /** Of the path with its query. */
  readonly path: RegExp;
  readonly trouble: Trouble;
  /** How many requests it meets; all by default. */
  readonly times?: number;
  /** Of `lose-answer`: only these answers are lost. */
  readonly when?: (answer: ProxiedAnswer) => boolean;
}

export interface ProxiedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

export interface ProxiedAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

/** One request that a rule met, with the answers of the server behind: none, one, or two of a request sent twice. */
export interface Met {
  readonly request: ProxiedRequest;
  readonly answers: readonly ProxiedAnswer[];
}

/** A rule that is in force until `end`, and what it met so far. */
export interface RuleInForce {
  readonly met: readonly Met[];
  end(): void;
}

/**
 * A way to the control plane on which single requests or their answers are lost, doubled and answered falsely. Without a rule all goes
 * through as it comes, streams too. For what happens to whole connections there is `TcpProxy`.
 */
export class HttpProxy {
  readonly url: string;
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  readonly #agent = new Agent({ keepAlive: true });
  readonly #rules: ActiveRule[] = [];

  private constructor(target: string, server: Server) {
    this.#target = new URL(target);
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.keepAliveTimeout = KEEP_ALIVE_MS;
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    server.on("request", (incoming, outgoing) => {
      this.#handle(incoming, outgoing).catch(() => incoming.socket.destroy());
    });
  }

  static async start(stage: Stage, target: string): Promise<HttpProxy> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const proxy = new HttpProxy(target, server);
    stage.onEnd(async () => {
      server.close();
      proxy.breakConnections();
      proxy.#agent.destroy();
      await once(server, "close");
    });
    return proxy;
  }

  rule(rule: Rule): RuleInForce {
    const active = new ActiveRule(rule);
    this.#rules.unshift(active);
    return {
      met: active.met,
      end: () => void this.#rules.splice(this.#rules.indexOf(active), this.#rules.includes(active) ? 1 : 0),
    };
  }

  /** Every open connection breaks; new ones are welcome. */
  breakConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async #handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const rule = this.#rules.find((candidate) => candidate.takes(incoming));
    if (!rule) return this.#passOn(incoming, outgoing);
    const asked = {
      method: incoming.method ?? "GET",
      path: incoming.url ?? "/",
      headers: incoming.headers,
      body: await whole(incoming),
    };
    const { trouble } = rule;
    if (trouble.kind === "lose-request" || trouble.kind === "answer") {
      rule.met.push({ request: asked, answers: [] });
      if (trouble.kind === "lose-request") incoming.socket.destroy();
      else {
        outgoing.writeHead(trouble.status, { "content-type": "application/json" });
        outgoing.end(JSON.stringify(trouble.body(asked)));
      }
      return;
    }
    const sent = trouble.kind === "twice" ? [this.#send(asked), this.#send(asked)] : [this.#send(asked)];
    const answers = await Promise.all(sent);
    const [answer] = answers;
    if (!answer) return;
    const isLost = trouble.kind === "lose-answer" && (rule.when?.(answer) ?? true);
    if (trouble.kind === "lose-answer" && !isLost) rule.spare();
    else rule.met.push({ request: asked, answers });
    if (isLost) incoming.socket.destroy();
    else outgoing.writeHead(answer.status, withoutHop(answer.headers)).end(answer.body);
  }

  #passOn(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const onward = request(this.#options(incoming.method ?? "GET", incoming.url ?? "/", incoming.headers), (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, withoutHop(answer.headers));
      answer.on("error", () => outgoing.destroy());
      answer.pipe(outgoing);
    });
    onward.on("error", () => outgoing.destroy());
    outgoing.on("close", () => outgoing.writableFinished || onward.destroy());
    incoming.pipe(onward);
  }

  #send(asked: ProxiedRequest): Promise<ProxiedAnswer> {
    return new Promise((resolve, reject) => {
      const headers = { ...asked.headers, "content-length": String(asked.body.length) };
      const onward = request(this.#options(asked.method, asked.path, headers), (answer) => {
        whole(answer).then(
          (body) => resolve({ status: answer.statusCode ?? 502, headers: answer.headers, body }),
          reject,
        );
      });
      onward.on("error", reject);
      onward.end(asked.body);
    });
  }

  #options(method: string, path: string, headers: ProxiedRequest["headers"]) {
    const { hostname, port } = this.#target;
    return { agent: this.#agent, hostname, port, method, path, headers: withoutHop(headers) };
  }
}

class ActiveRule {
  readonly trouble: Trouble;
  readonly when: Rule["when"];
  readonly met: Met[] = [];
  readonly #rule: Rule;
  #left: number;

  constructor(rule: Rule) {
    this.#rule = rule;
    this.trouble = rule.trouble;
    this.when = rule.when;
    this.#left = rule.times ?? Number.POSITIVE_INFINITY;
  }

  takes({ url }: IncomingMessage): boolean {
    if (this.#left <= 0 || !this.#rule.path.test(url ?? "/")) return false;
    this.#left -= 1;
    return true;
  }

  /** The request that was taken is none of its concern after all. */
  spare(): void {
    this.#left += 1;
  }
}

async function whole(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** Headers that belong to one connection and not to the request. */
function withoutHop(headers: ProxiedRequest["headers"]): Record<string, string | string[]> {
  const entries = Object.entries(headers).filter(
    ([name, value]) => value !== undefined && !["connection", "keep-alive", "transfer-encoding"].includes(name),
  );
  return Object.fromEntries(entries) as Record<string, string | string[]>;
}
