import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";
import { answerWithGit } from "@shipfox/shared/git-http-backend.fixture";
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
      if (request.headers.authorization === expected) answerWithGit({ folder }, request, response);
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
