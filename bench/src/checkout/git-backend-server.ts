// git http-backend over plain HTTP, for everybody: the host of the repositories that are checked out.
//
//   node git-backend-server.ts PORT FOLDER
import { spawn } from "node:child_process";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

const [port, folder] = process.argv.slice(2) as [string, string];
const HEAD_END = "\r\n\r\n";

const server = createServer((request, response) => {
  if (request.url === "/") return void response.end("ready");
  serve(request, response);
});
server.listen(Number(port), "127.0.0.1");
process.once("SIGTERM", () => process.exit());

function serve(request: IncomingMessage, response: ServerResponse): void {
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
  backend.stdin.on("error", () => {});
  const parts: Buffer[] = [];
  backend.stdout.on("data", (part: Buffer) => parts.push(part));
  backend.once("close", () => {
    const whole = Buffer.concat(parts);
    const headEnd = whole.indexOf(HEAD_END);
    const head = whole.toString("latin1", 0, headEnd).split("\r\n");
    const headers = head.map((line) => line.split(": ", 2) as [string, string]);
    const status = Number.parseInt(headers.find(([name]) => name === "Status")?.[1] ?? "200", 10);
    response.writeHead(status, Object.fromEntries(headers.filter(([name]) => name !== "Status")));
    response.end(whole.subarray(headEnd + HEAD_END.length));
  });
}
