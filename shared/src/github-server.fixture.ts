import { createHmac, createVerify, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { answerWithGit } from "./git-http-backend.fixture.ts";

const TOKEN_LIFETIME_MS = 3_600_000;
const MAX_JWT_SECONDS = 600;
const FIRST_ACCOUNT = 100_000;
const DELIVERY_ID_BYTES = 8;
const RSA_BITS = 2_048;

export interface FakeRepository {
  readonly id: number;
  owner: string;
  name: string;
  readonly private: boolean;
  defaultBranch: string;
  /** Work tree that is served; without one git finds nothing. */
  readonly folder?: string;
}

export interface FakeInstallation {
  readonly id: number;
  readonly account: { login: string; readonly id: number };
  readonly permissions: Record<string, "read" | "write">;
  suspendedAt: string | null;
  readonly repositories: FakeRepository[];
}

export interface FakeCheckRun {
  readonly id: number;
  readonly repositoryId: number;
  readonly head_sha: string;
  readonly external_id: string;
  readonly name: string;
  readonly details_url: string;
  status: string;
  conclusion: string | null;
  /** `status` or `status:conclusion` as they were sent, in order. */
  readonly history: string[];
}

interface IssuedToken {
  readonly installationId: number;
  readonly repositoryIds: readonly number[] | null;
  readonly permissions: Record<string, string>;
  readonly expiresAt: number;
}

/** A failure in place of an answer; `dropAnswer` does what was asked and cuts the connection. */
export interface Fault {
  readonly path: RegExp;
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly dropAnswer?: boolean;
}

class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * GitHub as an app meets it, on loopback: the app's JWT is verified with its public key, tokens of installations have
 * repositories, permissions and an end, codes are good once, and git over HTTP takes those tokens as passwords. Laid out
 * like a GitHub Enterprise Server: the API lies under `/api/v3`.
 */
export class GitHubServer {
  readonly app = { id: "4711", slug: "shipfox-test", clientId: "Iv1.test", clientSecret: "client-secret-of-the-app" };
  readonly webhookSecret = "webhook-secret-of-the-app";
  /** PEM, as GitHub hands it out. */
  readonly privateKey: string;
  readonly installations = new Map<number, FakeInstallation>();
  readonly checkRuns: FakeCheckRun[] = [];
  /** `METHOD path` of every API request, in order. */
  readonly requests: string[] = [];
  readonly faults: Fault[] = [];
  /** Of the app's hook, newest first. */
  readonly deliveries: { id: number; guid: string; status_code: number; redelivery: boolean }[] = [];
  /** Where the app's hook leads; deliveries that are asked for again go there. */
  hookUrl: string | null = null;
  readonly #sent = new Map<string, { event: string; body: unknown }>();
  /** The time by which tokens and JWTs are judged. */
  now: () => number = Date.now;
  #lastInstallation = 1_000;
  readonly #accounts = new Map<string, number>();
  readonly #publicKey: KeyObject;
  readonly #tokens = new Map<string, IssuedToken>();
  /** Codes and then tokens of users, each with the repositories that the user sees. */
  readonly #codes = new Map<string, readonly number[]>();
  readonly #userTokens = new Map<string, readonly number[]>();
  readonly #server: Server;

  private constructor() {
    keyPair ??= generateKeyPairSync("rsa", { modulusLength: RSA_BITS });
    this.privateKey = keyPair.privateKey.export({ type: "pkcs1", format: "pem" }).toString();
    this.#publicKey = keyPair.publicKey;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<GitHubServer> {
    const github = new GitHubServer();
    github.#server.listen(0, "127.0.0.1");
    await once(github.#server, "listening");
    return github;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The settings of a control plane that uses this app. */
  get environment(): Record<string, string> {
    return {
      SHIPFOX_GITHUB_APP_ID: this.app.id,
      SHIPFOX_GITHUB_APP_SLUG: this.app.slug,
      SHIPFOX_GITHUB_PRIVATE_KEY: this.privateKey,
      SHIPFOX_GITHUB_WEBHOOK_SECRET: this.webhookSecret,
      SHIPFOX_GITHUB_CLIENT_ID: this.app.clientId,
      SHIPFOX_GITHUB_CLIENT_SECRET: this.app.clientSecret,
      SHIPFOX_GITHUB_API_URL: `${this.url}/api/v3`,
      SHIPFOX_GITHUB_WEB_URL: this.url,
    };
  }

  /** What must be seen by nobody: the secrets of the app, and every token that was handed out. */
  get secrets(): string[] {
    const { clientSecret } = this.app;
    const keyLine = this.privateKey.split("\n")[1] as string;
    return [clientSecret, this.webhookSecret, keyLine, ...this.#tokens.keys(), ...this.#userTokens.keys()];
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  install(
    login: string,
    repositories: FakeRepository[],
    permissions: FakeInstallation["permissions"] = ALL,
  ): FakeInstallation {
    this.#lastInstallation += 1;
    const id = this.#lastInstallation;
    const accountId = this.#accounts.get(login) ?? FIRST_ACCOUNT + this.#accounts.size;
    this.#accounts.set(login, accountId);
    const installation = { id, account: { login, id: accountId }, permissions, suspendedAt: null, repositories };
    this.installations.set(id, installation);
    return installation;
  }

  /** A code as the browser of a user brings it back who sees these repositories. */
  codeOf(visible: readonly FakeRepository[]): string {
    const code = randomBytes(10).toString("hex");
    this.#codes.set(
      code,
      visible.map(({ id }) => id),
    );
    return code;
  }

  /** The headers with which GitHub sends a body. */
  headersOf(
    event: string,
    text: string,
    id: string = randomBytes(DELIVERY_ID_BYTES).toString("hex"),
  ): Record<string, string> {
    return {
      "content-type": "application/json",
      "x-github-event": event,
      "x-github-delivery": id,
      "x-hub-signature-256": `sha256=${createHmac("sha256", this.webhookSecret).update(text).digest("hex")}`,
    };
  }

  /** Sends a delivery as GitHub does: once. Answers the status, 0 for none. */
  async deliver(planeUrl: string, event: string, body: unknown, id?: string): Promise<number> {
    const text = JSON.stringify(body);
    const headers = this.headersOf(event, text, id);
    const guid = headers["x-github-delivery"] as string;
    const redelivery = this.#sent.has(guid);
    this.#sent.set(guid, { event, body });
    const url = `${planeUrl}/webhooks/integrations/github`;
    const status = await fetch(url, { method: "POST", headers, body: text }).then(
      (response) => response.status,
      () => 0,
    );
    this.deliveries.unshift({ id: this.deliveries.length + 1, guid, status_code: status, redelivery });
    return status;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", this.url);
    const fault = this.#takeFault(url.pathname);
    try {
      if (fault?.status !== undefined) {
        response.writeHead(fault.status, fault.headers).end(JSON.stringify({ message: "made to fail" }));
        return;
      }
      if (/^\/[^/]+\/[^/]+\.git\//.test(url.pathname)) return this.#git(url, request, response);
      const body = await readJson(request);
      this.requests.push(`${request.method} ${url.pathname}`);
      const answer = this.#answer(`${request.method} ${url.pathname}`, url, body, request.headers.authorization ?? "");
      if (fault?.dropAnswer) response.destroy();
      else response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer));
    } catch (error) {
      const status = error instanceof Refusal ? error.status : 500;
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify({ message: (error as Error).message }));
    }
  }

  #takeFault(path: string): Fault | undefined {
    const index = this.faults.findIndex((fault) => fault.path.test(path));
    return index < 0 ? undefined : this.faults.splice(index, 1)[0];
  }

  #answer(call: string, url: URL, body: Record<string, unknown>, authorization: string): unknown {
    const credential = authorization.replace(/^Bearer /, "");
    const match = (pattern: RegExp) => pattern.exec(call)?.slice(1);
    if (match(/^POST \/login\/oauth\/access_token$/)) return this.#exchange(body);
    if (call === "GET /api/v3/app/hook/deliveries") {
      this.#requireApp(credential);
      return this.deliveries;
    }
    let parts = match(/^POST \/api\/v3\/app\/hook\/deliveries\/(\d+)\/attempts$/);
    if (parts) {
      this.#requireApp(credential);
      return this.#redeliver(Number(parts[0]));
    }
    parts = match(/^POST \/api\/v3\/app\/installations\/(\d+)\/access_tokens$/);
    if (parts) return this.#issue(this.#ofApp(credential, Number(parts[0])), body);
    parts = match(/^GET \/api\/v3\/app\/installations\/(\d+)$/);
    if (parts) {
      const { id, account, permissions, suspendedAt } = this.#ofApp(credential, Number(parts[0]));
      return { id, account: { ...account, type: "Organization" }, permissions, suspended_at: suspendedAt };
    }
    parts = match(/^GET \/api\/v3\/user\/installations\/(\d+)\/repositories$/);
    if (parts) {
      const visible = this.#userTokens.get(credential) ?? refuse(401, "Bad credentials");
      const seen =
        this.installations.get(Number(parts[0]))?.repositories.filter(({ id }) => visible.includes(id)) ?? [];
      if (seen.length === 0) refuse(404, "Not Found");
      return { total_count: seen.length, repositories: seen.map(show) };
    }
    const token = this.#tokens.get(credential);
    if (!token || token.expiresAt <= this.now()) refuse(401, "Bad credentials");
    return this.#asInstallation(call, url, body, token);
  }

  #asInstallation(call: string, url: URL, body: Record<string, unknown>, token: IssuedToken): unknown {
    const match = (pattern: RegExp) => pattern.exec(call)?.slice(1) as [string, string, string] | undefined;
    if (call === "GET /api/v3/installation/repositories") {
      const size = Number(url.searchParams.get("per_page") ?? 30);
      const start = (Number(url.searchParams.get("page") ?? 1) - 1) * size;
      const all = this.#seenBy(token);
      return { total_count: all.length, repositories: all.slice(start, start + size).map(show) };
    }
    let parts = match(/^GET \/api\/v3\/repositories\/(\d+)$/);
    if (parts) return show(this.#seenBy(token).find(({ id }) => id === Number(parts?.[0])) ?? refuse(404, "Not Found"));
    parts = match(/^GET \/api\/v3\/repos\/([^/]+)\/([^/]+)$/);
    if (parts) return show(this.#named(token, parts[0], parts[1], "metadata", "read"));
    parts = match(/^POST \/api\/v3\/repos\/([^/]+)\/([^/]+)\/check-runs$/);
    if (parts) {
      const repository = this.#named(token, parts[0], parts[1], "checks", "write");
      const made = { ...body, id: this.checkRuns.length + 1, repositoryId: repository.id, history: [] };
      this.checkRuns.push(made as unknown as FakeCheckRun);
      return this.#update(made as unknown as FakeCheckRun, body);
    }
    parts = match(/^PATCH \/api\/v3\/repos\/([^/]+)\/([^/]+)\/check-runs\/(\d+)$/);
    if (parts) {
      this.#named(token, parts[0], parts[1], "checks", "write");
      const found = this.checkRuns.find(({ id }) => id === Number(parts?.[2])) ?? refuse(404, "Not Found");
      return this.#update(found, body);
    }
    parts = match(/^GET \/api\/v3\/repos\/([^/]+)\/([^/]+)\/commits\/([0-9a-f]+)\/check-runs$/);
    if (parts) {
      const repository = this.#named(token, parts[0], parts[1], "checks", "read");
      const found = this.checkRuns.filter(
        (run) =>
          run.repositoryId === repository.id &&
          run.head_sha === parts?.[2] &&
          run.name === url.searchParams.get("check_name"),
      );
      return { total_count: found.length, check_runs: found };
    }
    return refuse(404, "Not Found");
  }

  #update(run: FakeCheckRun, body: Record<string, unknown>): FakeCheckRun {
    const { status, conclusion } = body as { status: string; conclusion?: string };
    if ((status === "completed") !== (conclusion !== undefined)) refuse(422, "a completed run has a conclusion");
    run.status = status;
    run.conclusion = conclusion ?? null;
    run.history.push(conclusion === undefined ? status : `${status}:${conclusion}`);
    return run;
  }

  #git(url: URL, request: IncomingMessage, response: ServerResponse): void {
    const [, owner = "", name = "", rest = ""] = /^\/([^/]+)\/([^/]+)\.git(\/.*)$/.exec(url.pathname) ?? [];
    const basic = Buffer.from(request.headers.authorization?.replace(/^Basic /, "") ?? "", "base64").toString();
    const token = basic.startsWith("x-access-token:")
      ? this.#tokens.get(basic.slice("x-access-token:".length))
      : undefined;
    if (!token || token.expiresAt <= this.now() || token.permissions["contents"] === undefined) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="GitHub"' }).end();
      return;
    }
    const found = this.#seenBy(token).find((candidate) => candidate.owner === owner && candidate.name === name);
    if (found?.folder === undefined) {
      response.writeHead(404).end("Not Found");
      return;
    }
    answerWithGit({ folder: found.folder, path: `/.git${rest}` }, request, response);
  }

  #exchange(body: Record<string, unknown>): unknown {
    const code = String(body["code"]);
    const visible = this.#codes.get(code);
    const isApp = body["client_id"] === this.app.clientId && body["client_secret"] === this.app.clientSecret;
    if (!isApp) return { error: "incorrect_client_credentials" };
    if (!visible) return { error: "bad_verification_code" };
    this.#codes.delete(code);
    const token = `ghu_${randomBytes(18).toString("hex")}`;
    this.#userTokens.set(token, visible);
    return { access_token: token, token_type: "bearer", scope: "" };
  }

  #issue(installation: FakeInstallation, body: Record<string, unknown>): unknown {
    if (installation.suspendedAt !== null) refuse(403, "This installation has been suspended");
    const wanted = (body["permissions"] ?? installation.permissions) as Record<string, "read" | "write">;
    const ids = (body["repository_ids"] as number[] | undefined) ?? null;
    for (const [name, level] of Object.entries(wanted)) {
      const has = name === "metadata" ? "read" : installation.permissions[name];
      if (has === undefined || (level === "write" && has === "read"))
        refuse(422, "The permissions requested are not granted to this installation.");
    }
    if (ids?.some((id) => !installation.repositories.some((repository) => repository.id === id)))
      refuse(
        422,
        "There is at least one repository that does not exist or is not accessible to the parent installation.",
      );
    const token = `ghs_${randomBytes(18).toString("hex")}`;
    const expiresAt = this.now() + TOKEN_LIFETIME_MS;
    this.#tokens.set(token, { installationId: installation.id, repositoryIds: ids, permissions: wanted, expiresAt });
    return { token, expires_at: new Date(expiresAt).toISOString().replace(/\.\d+Z$/, "Z"), permissions: wanted };
  }

  #redeliver(deliveryId: number): unknown {
    const { guid } = this.deliveries.find(({ id }) => id === deliveryId) ?? refuse(404, "Not Found");
    const sent = this.#sent.get(guid);
    if (sent && this.hookUrl !== null) void this.deliver(this.hookUrl, sent.event, sent.body, guid);
    return {};
  }

  #ofApp(jwt: string, installationId: number): FakeInstallation {
    this.#requireApp(jwt);
    return this.installations.get(installationId) ?? refuse(404, "Not Found");
  }

  #requireApp(jwt: string): void {
    const [header = "", claims = "", signature = ""] = jwt.split(".");
    const read = (part: string) =>
      JSON.parse(Buffer.from(part, "base64url").toString() || "{}") as Record<string, unknown>;
    const isSigned = createVerify("RSA-SHA256")
      .update(`${header}.${claims}`)
      .verify(this.#publicKey, signature, "base64url");
    const { iss, iat, exp } = read(claims) as { iss?: string; iat?: number; exp?: number };
    const now = this.now() / 1000;
    if (!isSigned || read(header)["alg"] !== "RS256" || iss !== this.app.id)
      refuse(401, "A JSON web token could not be decoded");
    if (iat === undefined || exp === undefined || iat > now || exp <= now || exp - iat > MAX_JWT_SECONDS)
      refuse(401, "'Expiration time' claim ('exp') is too far in the future");
  }

  #seenBy(token: IssuedToken): FakeRepository[] {
    const installation = this.installations.get(token.installationId);
    if (!installation) return [];
    return installation.repositories.filter(({ id }) => token.repositoryIds?.includes(id) ?? true);
  }

  #named(token: IssuedToken, owner: string, name: string, permission: string, level: "read" | "write"): FakeRepository {
    const has = token.permissions[permission];
    if (has === undefined || (level === "write" && has !== "write"))
      refuse(403, "Resource not accessible by integration");
    const found = this.#seenBy(token).find((candidate) => candidate.owner === owner && candidate.name === name);
    return found ?? refuse(404, "Not Found");
  }
}

/** Made once: it takes a moment. */
let keyPair: { readonly publicKey: KeyObject; readonly privateKey: KeyObject } | undefined;

const ALL = { contents: "write", checks: "write" } as const;

function show({ id, owner, name, private: isPrivate, defaultBranch }: FakeRepository): unknown {
  return {
    id,
    name,
    full_name: `${owner}/${name}`,
    owner: { login: owner },
    private: isPrivate,
    visibility: isPrivate ? "private" : "public",
    default_branch: defaultBranch,
  };
}

function refuse(status: number, message: string): never {
  throw new Refusal(status, message);
}

async function readJson(request: IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
}
