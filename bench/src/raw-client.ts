import { once } from "node:events";
import { connect, type Socket } from "node:net";

const HEAD_END = "\r\n\r\n";
const TIMEOUT_MS = 30_000;

/**
 * Calls over one kept-alive connection, one at a time, with next to no work of its own: the servers are what is measured. A
 * connection that the server closed meanwhile is opened again.
 */
export class RawClient {
  readonly #url: URL;
  #socket: Socket;
  #received = "";
  #answered: (() => void) | null = null;
  #fault: Error | null = null;

  private constructor(url: URL) {
    this.#url = url;
    this.#socket = this.#connect();
  }

  static async open(baseUrl: string): Promise<RawClient> {
    const client = new RawClient(new URL(baseUrl));
    await once(client.#socket, "connect");
    return client;
  }

  #connect(): Socket {
    const socket = connect(Number(this.#url.port), this.#url.hostname);
    this.#fault = null;
    socket.setNoDelay(true).setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.#received += text;
      if (isWhole(this.#received)) this.#answered?.();
    });
    const broken = (error?: Error) => {
      if (socket !== this.#socket) return;
      this.#fault ??= error ?? new Error("the server closed the connection");
      this.#answered?.();
    };
    socket.on("error", broken).on("close", () => broken());
    return socket;
  }

  /** Settles with the answer's body. Rejects on any status but 200. */
  post(path: string, token: string, body: Buffer): Promise<string> {
    const type = `content-type: application/x-ndjson\r\ncontent-length: ${body.length}`;
    return this.#call("POST", path, token, type, body);
  }

  /** Settles with the answer's body, a character for each byte. Rejects on any status but 200. */
  get(path: string, token: string): Promise<string> {
    return this.#call("GET", path, token, "accept: application/json", Buffer.alloc(0));
  }

  async #call(method: string, path: string, token: string, headers: string, body: Buffer): Promise<string> {
    if (this.#fault) this.#socket = this.#connect();
    this.#received = "";
    const answered = new Promise<void>((resolve) => (this.#answered = resolve));
    this.#socket.cork();
    this.#socket.write(
      `${method} ${path} HTTP/1.1\r\nhost: ${this.#url.host}\r\nauthorization: Bearer ${token}\r\n${headers}${HEAD_END}`,
    );
    this.#socket.write(body);
    this.#socket.uncork();
    const timer = setTimeout(() => this.#socket.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
    await answered;
    clearTimeout(timer);
    if (this.#fault) throw this.#fault;
    if (!this.#received.startsWith("HTTP/1.1 200")) throw new Error(`${path} was answered with: ${this.#received}`);
    return this.#received.slice(this.#received.indexOf(HEAD_END) + HEAD_END.length);
  }

  close(): void {
    this.#socket.removeAllListeners("close").destroy();
  }
}

function isWhole(received: string): boolean {
  const headEnd = received.indexOf(HEAD_END);
  if (headEnd < 0) return false;
  const length = /\r\ncontent-length: (\d+)/i.exec(received.slice(0, headEnd))?.[1];
  if (length === undefined) throw new Error("an answer without a content-length");
  return received.length >= headEnd + HEAD_END.length + Number(length);
}
