import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";

const MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json";
const CONFIG_TYPE = "application/vnd.docker.container.image.v1+json";
const LAYER_TYPE = "application/vnd.docker.image.rootfs.diff.tar.gzip";

const MAX_LAYER_BYTES = 64 * 1024 * 1024;

interface StoredRepository {
  readonly account: { readonly username: string; readonly password: string } | null;
  readonly manifests: Map<string, Buffer>;
}

/**
 * A registry of images that serves pulls (OCI distribution API v2, Basic authentication), for tests. An engine on this
 * machine talks plain HTTP to it, because its host is a loopback address.
 */
export class StandInRegistry implements AsyncDisposable {
  /** `METHOD /path` of every request, oldest first. */
  readonly requests: string[] = [];
  /** Answers of the next requests beyond `/v2/`, one each; a status, or `hang` for no answer at all. */
  readonly faults: (number | "hang")[] = [];
  readonly #server: Server;
  readonly #repositories = new Map<string, StoredRepository>();
  readonly #blobs = new Map<string, Buffer>();

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => this.#answer(request, response));
  }

  static async start(): Promise<StandInRegistry> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new StandInRegistry(server);
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Makes an image out of one layer, an uncompressed tar; answers its reference. With an account only that may pull it. */
  publish(image: {
    repository: string;
    tag: string;
    layer: Buffer;
    config?: Record<string, unknown>;
    account?: { username: string; password: string };
  }): string {
    const layer = this.#store(gzipSync(image.layer, { level: 1 }));
    const config = this.#store(
      Buffer.from(
        JSON.stringify({
          architecture: process.arch === "x64" ? "amd64" : process.arch,
          os: "linux",
          config: image.config ?? {},
          rootfs: { type: "layers", diff_ids: [digestOf(image.layer)] },
        }),
      ),
    );
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST_TYPE,
        config: { mediaType: CONFIG_TYPE, ...config },
        layers: [{ mediaType: LAYER_TYPE, ...layer }],
      }),
    );
    const repository = this.#repositories.get(image.repository) ?? {
      account: image.account ?? null,
      manifests: new Map(),
    };
    repository.manifests.set(image.tag, manifest).set(digestOf(manifest), manifest);
    this.#repositories.set(image.repository, repository);
    return `${this.host}/${image.repository}:${image.tag}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  #store(content: Buffer): { digest: string; size: number } {
    const digest = digestOf(content);
    this.#blobs.set(digest, content);
    return { digest, size: content.length };
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? "").split("?")[0] ?? "";
    this.requests.push(`${request.method} ${path}`);
    const account = accountOf(request);
    if (path === "/v2/") {
      // An engine that was asked who it is sends nothing without credentials, not even for a public image.
      const isPublic = [...this.#repositories.values()].every((repository) => repository.account === null);
      if (account === null && !isPublic) return refuse(response, 401, "UNAUTHORIZED");
      return void response.writeHead(200, { "content-type": "application/json" }).end("{}");
    }
    const fault = this.faults.shift();
    if (fault === "hang") return;
    if (fault !== undefined) return refuse(response, fault, fault === 429 ? "TOOMANYREQUESTS" : "UNKNOWN");
    const [, name = "", kind = "", reference = ""] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
    const repository = this.#repositories.get(name);
    if (!repository) return refuse(response, 404, "NAME_UNKNOWN");
    if (repository.account !== null) {
      const { username, password } = repository.account;
      if (account !== `${username}:${password}`) return refuse(response, account === null ? 401 : 403, "DENIED");
    }
    const content = kind === "manifests" ? repository.manifests.get(reference) : this.#blobs.get(reference);
    if (!content) return refuse(response, 404, kind === "manifests" ? "MANIFEST_UNKNOWN" : "BLOB_UNKNOWN");
    response.writeHead(200, {
      "content-type": kind === "manifests" ? MANIFEST_TYPE : "application/octet-stream",
      "content-length": content.length,
      "docker-content-digest": digestOf(content),
    });
    response.end(request.method === "HEAD" ? undefined : content);
  }
}

function refuse(response: ServerResponse, status: number, code: string): void {
  const challenge: Record<string, string> = status === 401 ? { "www-authenticate": 'Basic realm="stand-in"' } : {};
  response.writeHead(status, { "content-type": "application/json", ...challenge });
  response.end(JSON.stringify({ errors: [{ code, message: code.toLowerCase().replace("_", " ") }] }));
}

/** `name:password`, null without credentials. */
function accountOf(request: IncomingMessage): string | null {
  const [scheme, value = ""] = (request.headers.authorization ?? "").split(" ");
  return scheme === "Basic" ? Buffer.from(value, "base64").toString("utf8") : null;
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash("sha256").update(content).digest("hex")}`;
}

/** The smallest file system in which `/bin/sh` runs, as a tar, taken out of an image that is here. */
export async function shellLayer(image: string): Promise<Buffer> {
  const script = "tar -chPf - /bin/sh $(ldd /bin/sh | grep -o '/[^ ]*')";
  const args = ["run", "--rm", "--network", "none", image, "sh", "-c", script];
  const { stdout } = await promisify(execFile)("docker", args, { encoding: "buffer", maxBuffer: MAX_LAYER_BYTES });
  return stdout;
}
