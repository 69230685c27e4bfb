import { createHmac, randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

const INSTALLATION_PATH = /^\/api\/0\/sentry-app-installations\/([0-9a-f-]+)\/(authorizations\/)?$/;

interface SentryApp {
  readonly slug: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

interface Installation {
  readonly organization: string;
  code: string | null;
  token: string | null;
  status: "pending" | "installed";
}

/** As much of Sentry as an integration meets: the two calls by which it claims an installation, and signed deliveries. */
export class SentryServer {
  readonly app: SentryApp = { slug: "shipfox-test", clientId: "client", clientSecret: randomBytes(32).toString("hex") };
  /** Answers that come before what would be said, one each: a status, with headers. */
  readonly troubles: { status: number; headers?: Record<string, string> }[] = [];
  /** `METHOD path` of the calls that came. */
  readonly calls: string[] = [];
  readonly #installations = new Map<string, Installation>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  static async start(): Promise<SentryServer> {
    const sentry = new SentryServer();
    sentry.#server.listen(0, "127.0.0.1");
    await once(sentry.#server, "listening");
    return sentry;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** With which a control plane uses it. */
  get environment(): Record<string, string> {
    return {
      SHIPFOX_SENTRY_APP_SLUG: this.app.slug,
      SHIPFOX_SENTRY_CLIENT_ID: this.app.clientId,
      SHIPFOX_SENTRY_CLIENT_SECRET: this.app.clientSecret,
      SHIPFOX_SENTRY_URL: this.url,
    };
  }

  /** Somebody installed the app in an organisation: what the browser brings back. */
  install(organization: string): { installation_id: string; code: string } {
    const id = randomUUID();
    const code = randomBytes(16).toString("hex");
    this.#installations.set(id, { organization, code, token: null, status: "pending" });
    return { installation_id: id, code };
  }

  statusOf(installationId: string): string | undefined {
    return this.#installations.get(installationId)?.status;
  }

  /** A delivery as Sentry sends it: headers and body for a POST. */
  delivery(
    resource: string,
    body: Record<string, unknown>,
    { id = randomUUID(), secret = this.app.clientSecret }: { id?: string; secret?: string } = {},
  ): { headers: Record<string, string>; body: string } {
    const text = JSON.stringify(body);
    return {
      headers: {
        "content-type": "application/json",
        "request-id": id,
        "sentry-hook-resource": resource,
        "sentry-hook-timestamp": String(Math.floor(Date.now() / 1000)),
        "sentry-hook-signature": createHmac("sha256", secret).update(text).digest("hex"),
      },
      body: text,
    };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.calls.push(`${request.method} ${request.url}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const trouble = this.troubles.shift();
    if (trouble) return void response.writeHead(trouble.status, trouble.headers).end("trouble");
    const [, id = "", part] = INSTALLATION_PATH.exec(request.url ?? "") ?? [];
    const installation = this.#installations.get(id);
    const body = JSON.parse(Buffer.concat(chunks).toString() || "{}") as Record<string, unknown>;
    if (!installation) return say(response, 404, { detail: "The requested resource does not exist" });
    if (part) return this.#exchange(request, response, installation, body);
    if (request.method !== "PUT" || request.headers.authorization !== `Bearer ${installation.token}`)
      return say(response, 401, { detail: "Authentication credentials were not provided." });
    installation.status = body["status"] === "installed" ? "installed" : installation.status;
    const { organization, status } = installation;
    say(response, 200, { app: { slug: this.app.slug }, organization: { slug: organization }, uuid: id, status });
  }

  #exchange(
    request: IncomingMessage,
    response: ServerResponse,
    installation: Installation,
    body: Record<string, unknown>,
  ): void {
    const { clientId, clientSecret } = this.app;
    if (request.method !== "POST" || body["client_id"] !== clientId || body["client_secret"] !== clientSecret)
      return say(response, 401, { error: "Unauthorized" });
    if (body["grant_type"] !== "authorization_code" || installation.code === null || body["code"] !== installation.code)
      return say(response, 403, { error: "Unauthorized" });
    installation.code = null;
    installation.token = randomBytes(16).toString("hex");
    const expiresAt = new Date(Date.now() + 8 * 3_600_000).toISOString();
    say(response, 201, { id: "38", token: installation.token, refreshToken: "refresh", expiresAt, state: null });
  }
}

function say(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}
