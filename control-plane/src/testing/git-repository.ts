import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { answerWithGit } from "@shipfox/shared/git-http-backend.fixture";
import { execa } from "execa";

/** A real repository for tests, with a work tree in which each commit is made. */
export class TestRepository {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(): Promise<TestRepository> {
    const repository = new TestRepository(await mkdtemp(join(tmpdir(), "shipfox-repository-")));
    await repository.git("init", "--quiet", "--initial-branch=main");
    return repository;
  }

  get fileUrl(): string {
    return `file://${this.folder}`;
  }

  /** Writes the files (null removes one), commits all and answers the commit. */
  async commit(files: Record<string, string | Buffer | null>): Promise<string> {
    for (const [path, content] of Object.entries(files)) {
      const absolute = join(this.folder, path);
      if (content === null) {
        await rm(absolute);
        continue;
      }
      await mkdir(dirname(absolute), { recursive: true });
      await writeFile(absolute, content);
    }
    await this.git("add", "--all");
    await this.git("commit", "--quiet", "--allow-empty", "--message=change");
    return this.git("rev-parse", "HEAD");
  }

  async git(...args: string[]): Promise<string> {
    const env = {
      PATH: process.env["PATH"] ?? "",
      HOME: this.folder,
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_AUTHOR_NAME: "Test",
      GIT_AUTHOR_EMAIL: "test@example.com",
      GIT_COMMITTER_NAME: "Test",
      GIT_COMMITTER_EMAIL: "test@example.com",
    };
    const { stdout } = await execa("git", args, { cwd: this.folder, env, extendEnv: false });
    return stdout;
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

export interface GitServer {
  /** Serves `<url>/repository/.git`; everything else is 404. */
  readonly url: string;
  /** `authorization` headers of all requests, in order. */
  readonly authorizations: (string | undefined)[];
  close(): Promise<void>;
}

/** git over http as hosts speak it (`git http-backend`), for one repository. `token` is asked for as the Basic password. */
export async function serveGit(repository: TestRepository, options: { token?: string } = {}): Promise<GitServer> {
  const authorizations: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    authorizations.push(request.headers.authorization);
    if (options.token !== undefined && passwordOf(request) !== options.token) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
      return;
    }
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    if (!pathname.startsWith("/repository/")) {
      response.writeHead(404).end("Repository not found");
      return;
    }
    answerWithGit({ folder: repository.folder, path: pathname.slice("/repository".length) }, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/repository/.git`,
    authorizations,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function passwordOf(request: IncomingMessage): string | undefined {
  const basic = request.headers.authorization?.split(" ")[1];
  return basic === undefined ? undefined : Buffer.from(basic, "base64").toString().split(":").slice(1).join(":");
}
