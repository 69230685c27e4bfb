// The least that a live tail needs on the server: what is POSTed goes out at once to those who read along, until /end.
//
//   node tail-server.ts PORT
import { createServer, type ServerResponse } from "node:http";

const [port] = process.argv.slice(2);
const readers = new Set<ServerResponse>();

const server = createServer((request, response) => {
  if (request.method === "GET" && request.url === "/stream") {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" }).flushHeaders();
    readers.add(response);
    response.once("close", () => readers.delete(response));
    return;
  }
  if (request.url === "/end") {
    request.resume();
    for (const reader of readers) reader.end();
    return void response.writeHead(200, { "content-length": 2 }).end("ok");
  }
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const lines = Buffer.concat(parts).toString("utf8").trimEnd().split("\n");
    const frame = `event: log\n${lines.map((line) => `data: ${line}\n`).join("")}\n`;
    for (const reader of readers) reader.write(frame);
    response.writeHead(200, { "content-length": 2 }).end("ok");
  });
});
server.listen(Number(port), "127.0.0.1");
process.once("SIGTERM", () => process.exit());
