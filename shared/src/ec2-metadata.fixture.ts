import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const MAX_TTL_SECONDS = 21_600;

/** The instance metadata service of EC2, version 2: nothing without a token, and a token only by PUT with a time to live. */
export class Ec2MetadataServer {
  /** Paths that are answered with 200, with their text. Others are answered with 404. */
  readonly pages = new Map<string, string>();
  /** Method, path and status of every call, in order. */
  readonly calls: string[] = [];
  readonly #server = createServer(({ method = "", url = "", headers }, response) => {
    const { status, text } = this.#answer(method, url, headers);
    this.calls.push(`${method} ${url} ${status}`);
    response.writeHead(status).end(text);
  });
  #tokens = 0;

  static async start(): Promise<Ec2MetadataServer> {
    const metadata = new Ec2MetadataServer();
    metadata.#server.listen(0, "127.0.0.1");
    await once(metadata.#server, "listening");
    return metadata;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Tokens that were given until now are no longer accepted. */
  expireTokens(): void {
    this.#tokens += 1;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #answer(method: string, path: string, headers: NodeJS.Dict<string | string[]>): { status: number; text: string } {
    if (path === "/latest/api/token") {
      const ttl = Number(headers["x-aws-ec2-metadata-token-ttl-seconds"]);
      const isValid = method === "PUT" && ttl >= 1 && ttl <= MAX_TTL_SECONDS;
      return isValid ? { status: 200, text: `token-${this.#tokens}` } : { status: 400, text: "" };
    }
    if (headers["x-aws-ec2-metadata-token"] !== `token-${this.#tokens}`) return { status: 401, text: "" };
    const text = this.pages.get(path);
    return text === undefined ? { status: 404, text: "" } : { status: 200, text };
  }
}
