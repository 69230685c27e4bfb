// The least that fan-out needs on a server: what is POSTed goes to all who read along. `coalesced` writes all lines as one
// pre-framed buffer, `lines` writes each line by itself, `messages` sends each line as a message of a WebSocket.
//
//   node fan-out-server.ts MODE PORT
import { createServer, type ServerResponse } from "node:http";
import { type WebSocket, WebSocketServer } from "ws";

const [mode, port] = process.argv.slice(2);
const readers = new Set<ServerResponse>();
const sockets = new Set<WebSocket>();

const server = createServer((request, response) => {
  if (request.method === "GET" && request.url === "/stream") {
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    readers.add(response);
    response.once("close", () => readers.delete(response));
    return;
  }
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const lines = Buffer.concat(parts).toString("utf8").trimEnd().split("\n");
    const frames =
      mode === "coalesced"
        ? [Buffer.from(`event: log\n${lines.map((line) => `data: ${line}\n`).join("")}\n`)]
        : lines.map((line) => `event: log\ndata: ${line}\n\n`);
    for (const frame of frames) for (const reader of readers) reader.write(frame);
    for (const line of lines) for (const socket of sockets) socket.send(line);
    response.writeHead(200, { "content-length": 2 }).end("ok");
  });
});
new WebSocketServer({ server, path: "/messages" }).on("connection", (socket) => {
  sockets.add(socket);
  socket.once("close", () => sockets.delete(socket));
});
server.listen(Number(port), "127.0.0.1");
process.once("SIGTERM", () => process.exit());
