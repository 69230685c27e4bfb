import { spawn } from "node:child_process";
import type { IncomingMessage, ServerResponse } from "node:http";

const HEAD_END = "\r\n\r\n";

/** A request for git over HTTP and where it is answered from. */
export interface GitRequest {
  /** `GIT_PROJECT_ROOT`: the folder in which the repositories lie. */
  readonly folder: string;
  /** Of the repository and what is asked of it, below `folder`; default: the request's own path. */
  readonly path?: string;
}

/** Answers one request as hosts do: with `git http-backend`, git's own CGI program. Whose repositories they are does not matter. */
export function answerWithGit({ folder, path }: GitRequest, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? "/", "http://git");
  const child = spawn("git", ["http-backend"], {
    stdio: ["pipe", "pipe", "ignore"],
    env: {
      PATH: process.env["PATH"] ?? "",
      GIT_CONFIG_NOSYSTEM: "1",
      GIT_CONFIG_GLOBAL: "/dev/null",
      GIT_CONFIG_COUNT: "1",
      GIT_CONFIG_KEY_0: "safe.directory",
      GIT_CONFIG_VALUE_0: "*",
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: path ?? url.pathname,
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method ?? "",
      CONTENT_TYPE: request.headers["content-type"] ?? "",
      CONTENT_LENGTH: request.headers["content-length"] ?? "",
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] ?? "",
      GIT_PROTOCOL: String(request.headers["git-protocol"] ?? ""),
    },
  });
  child.stdin.on("error", () => {});
  request.pipe(child.stdin);
  response.on("close", () => response.writableFinished || child.kill());
  let head = Buffer.alloc(0);
  const onHead = (chunk: Buffer) => {
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf(HEAD_END);
    if (end < 0) return;
    child.stdout.off("data", onHead);
    for (const line of head.toString("latin1", 0, end).split("\r\n")) {
      const [name = "", value = ""] = line.split(": ");
      if (name.toLowerCase() === "status") response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.write(head.subarray(end + HEAD_END.length));
    child.stdout.pipe(response);
  };
  child.stdout.on("data", onHead);
}
