import { once } from "node:events";
import { connect, type Socket } from "node:net";

const HEAD_END = "\r\n\r\n";
const TIMEOUT_MS = 30_000;

/** POSTs over one kept-alive connection, one at a time, with next to no work of its own: the servers are what is measured. */
export class RawClient {
  readonly #socket: Socket;
  readonly #host: string;
  #received = "";
  #answered: (() => void) | null = null;
  #fault: Error | null = null;

  private constructor(socket: Socket, host: string) {
    this.#socket = socket;
    this.#host = host;
    socket.setNoDelay(true).setEncoding("latin1");
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)));
    socket.on("data", (text: string) => {
      this.#received += text;
      if (isWhole(this.#received)) this.#answered?.();
    });
    const broken = (error?: Error) => {
      this.#fault = error ?? new Error("the server closed the connection");
      this.#answered?.();
    };
    socket.on("error", broken).on("close", () => broken());
  }

  static async open(baseUrl: string): Promise<RawClient> {
    const { hostname, port, host } = new URL(baseUrl);
    const socket = connect(Number(port), hostname);
    await once(socket, "connect");
    return new RawClient(socket, host);
  }

  /** Settles with the answer's body. Rejects on any status but 200. */
  async post(path: string, token: string, body: Buffer): Promise<string> {
    this.#received = "";
    const answered = new Promise<void>((resolve) => (this.#answered = resolve));
    this.#socket.cork();
    this.#socket.write(
      `POST ${path} HTTP/1.1\r\nhost: ${this.#host}\r\nauthorization: Bearer ${token}\r\n` +
        `content-type: application/x-ndjson\r\ncontent-length: ${body.length}${HEAD_END}`,
    );
    this.#socket.write(body);
    this.#socket.uncork();
    await answered;
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
