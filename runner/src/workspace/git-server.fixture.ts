import { execFileSync } from "node:child_process";
import { hash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { answerWithGit } from "@shipfox/shared/git-http-backend.fixture";

/** git http-backend behind Basic authentication, with the batch interface of Git LFS beside it. */
export class GitServer {
  static readonly SECRET = "git-s3cret";
  /** Method and path of every request, in order. */
  readonly requests: string[] = [];
  /** Contents of LFS objects by SHA-256. */
  readonly largeFiles = new Map<string, Buffer>();
  private readonly server: Server;
  private readonly projects: string;

  private constructor(projects: string) {
    this.projects = projects;
    this.server = createServer((request, response) => this.answer(request, response));
  }

  static async start(projects: string): Promise<GitServer> {
    const git = new GitServer(projects);
    await new Promise<void>((resolve) => git.server.listen(0, "127.0.0.1", resolve));
    return git;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  credential(persist = false) {
    const expires_at = "2030-01-01T00:00:00.000Z";
    const basic = { kind: "basic", carry: "header" } as const;
    return { ...basic, username: "bot", token: GitServer.SECRET, expires_at, host: new URL(this.origin).host, persist };
  }

  /** Stores an LFS object and gives the pointer that stands for it in a commit. */
  addLargeFile(content: Buffer): string {
    const id = hash("sha256", content, "hex");
    this.largeFiles.set(id, content);
    return `version https://git-lfs.github.com/spec/v1\noid sha256:${id}\nsize ${content.length}\n`;
  }

  /** From now on requests are not answered. */
  hang(onRequest: () => void): void {
    this.server.removeAllListeners("request");
    this.server.on("request", onRequest);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://git");
    this.requests.push(`${request.method} ${url.pathname}`);
    if (request.headers.authorization !== `Basic ${Buffer.from(`bot:${GitServer.SECRET}`).toString("base64")}`) {
      response.writeHead(401, { "www-authenticate": 'Basic realm="git"' }).end();
    } else if (url.pathname.endsWith("/info/lfs/objects/batch")) this.answerBatch(request, response);
    else if (url.pathname.startsWith("/large/")) {
      const content = this.largeFiles.get(url.pathname.slice("/large/".length));
      response.writeHead(content === undefined ? 404 : 200).end(content);
    } else answerWithGit({ folder: this.projects }, request, response);
  }

  private answerBatch(request: IncomingMessage, response: ServerResponse): void {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const { objects } = JSON.parse(Buffer.concat(parts).toString("utf8")) as {
        objects: { oid: string; size: number }[];
      };
      const answers = objects.map((object) => ({
        ...object,
        actions: { download: { href: `${this.origin}/large/${object.oid}` } },
      }));
      response
        .writeHead(200, { "content-type": "application/vnd.git-lfs+json" })
        .end(JSON.stringify({ transfer: "basic", objects: answers }));
    });
  }
}

/** Runs git for a test, as a user without configuration; gives what it printed. */
export function runTestGit(folder: string, ...args: string[]): string {
  const env = { PATH: process.env["PATH"] ?? "", HOME: "/nonexistent", GIT_CONFIG_NOSYSTEM: "1" };
  const who = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"];
  return execFileSync("git", [...who, ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] })
    .toString()
    .trim();
}
