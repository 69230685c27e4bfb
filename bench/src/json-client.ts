import { Agent, request } from "node:http";

/** Above the longest long poll. */
const TIMEOUT_MS = 70_000;
const MAX_QUOTED_CHARS = 500;

export interface CallOptions {
  readonly token?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/** JSON over kept-alive connections on node:http: the cheapest client at hand, so that the servers are what is measured. */
export class JsonClient {
  readonly #host: string;
  readonly #port: string;
  readonly #agent: Agent;

  /** `connections` is how many calls may be under way at once; more wait for their turn. */
  constructor(baseUrl: string, connections: number) {
    const url = new URL(baseUrl);
    this.#host = url.hostname;
    this.#port = url.port;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections, maxFreeSockets: connections });
  }

  /** The parsed body, undefined when there is none. Rejects on any status but 2xx, with what the server said. */
  call<T>(method: "GET" | "POST" | "DELETE", path: string, options: CallOptions = {}): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    const headers: Record<string, string | number> = { ...options.headers };
    if (options.token !== undefined) headers["authorization"] = `Bearer ${options.token}`;
    if (body !== undefined) {
      headers["content-type"] = "application/json";
      headers["content-length"] = Buffer.byteLength(body);
    } else if (method === "POST") {
      headers["content-length"] = 0;
    }
    const outgoing = request({
      host: this.#host,
      port: this.#port,
      agent: this.#agent,
      method,
      path,
      headers,
      timeout: TIMEOUT_MS,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    outgoing.once("timeout", () =>
      outgoing.destroy(new Error(`${method} ${path} was not answered in ${TIMEOUT_MS} ms`)),
    );
    outgoing.once("error", (error: NodeJS.ErrnoException) => {
      // The server had closed the kept-alive connection just before: the call has reached nobody.
      if (outgoing.reusedSocket && error.code === "ECONNRESET")
        this.call<T>(method, path, options).then(resolve, reject);
      else reject(error);
    });
    outgoing.once("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.once("error", reject);
      response.once("end", () => {
        const status = response.statusCode ?? 0;
        if (status < 200 || status >= 300) {
          reject(new Error(`${method} ${path} was answered with ${status}: ${text.slice(0, MAX_QUOTED_CHARS)}`));
        } else {
          resolve((text === "" ? undefined : JSON.parse(text)) as T);
        }
      });
    });
    outgoing.end(body);
    return promise;
  }

  close(): void {
    this.#agent.destroy();
  }
}
