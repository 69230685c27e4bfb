// git http-backend over plain HTTP, for everybody: the host of the repositories that are checked out.
//
//   node git-backend-server.ts PORT FOLDER
import { createServer } from "node:http";
import { answerWithGit } from "@shipfox/shared/git-http-backend.fixture";

const [port, folder] = process.argv.slice(2) as [string, string];

const server = createServer((request, response) => {
  if (request.url === "/") return void response.end("ready");
  answerWithGit({ folder }, request, response);
});
server.listen(Number(port), "127.0.0.1");
process.once("SIGTERM", () => process.exit());
