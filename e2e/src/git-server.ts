import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";
import type { Repository } from "./repository.ts";
import type { Stage } from "./stage.ts";

const USERNAME = "bot";

/** The repositories that lie beside `repository`, served over HTTP to whoever has the token. */
export class GitServer {
  readonly username = USERNAME;
  readonly token: string;
  readonly origin: string;

  private constructor(origin: string, token: string) {
    this.origin = origin;
    this.token = token;
  }

  static async start(stage: Stage, repository: Repository, token: string): Promise<GitServer> {
    const folder = dirname(repository.folder);
    const expected = `Basic ${Buffer.from(`${USERNAME}:${token}`).toString("base64")}`;
    const server = createServer((request, response) => {
      if (request.headers.authorization === expected) serve(folder, request, response);
      else response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    stage.onEnd(async () => {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    });
    return new GitServer(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, token);
  }
}

/** One request through git's own CGI program. */
function serve(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "/", "http://git");
  const backend = spawn("git", ["http-backend"], {
    env: {
      PATH: process.env["PATH"] ?? "",
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method ?? "",
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
    },
    stdio: ["pipe", "pipe", "inherit"],
  });
  request.pipe(backend.stdin);
  const parts: Buffer[] = [];
  backend.stdout.on("data", (part: Buffer) => parts.push(part));
  backend.on("close", () => {
    const answer = Buffer.concat(parts);
    const headEnd = answer.indexOf("\r\n\r\n");
    const head = answer.toString("latin1", 0, headEnd).split("\r\n");
    const headers = Object.fromEntries(head.map((line) => line.split(": ")));
    const { Status: status = "200", ...others } = headers as Record<string, string>;
    response.writeHead(Number.parseInt(status, 10), others).end(answer.subarray(headEnd + 4));
  });
}
