// The least that a live tail needs beside the command: on a POST it starts the command and sends what it prints, at once when
// idle, together while a request is under way. Answers when all is sent.
//
//   node sender-server.ts PORT URL COMMAND
import { spawn } from "node:child_process";
import { Agent, createServer, request } from "node:http";

const [port, url, command] = process.argv.slice(2) as [string, string, string];
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

const server = createServer((incoming, response) => {
  incoming.resume();
  if (incoming.method !== "POST") return void response.end();
  run().then(
    () => response.end("done"),
    (error: Error) => response.writeHead(500).end(error.message),
  );
});
server.listen(Number(port), "127.0.0.1");
process.once("SIGTERM", () => process.exit());

function run(): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("bash", ["-c", command], { stdio: ["ignore", "pipe", "inherit"] });
    let waiting: Buffer[] = [];
    let sending = false;
    let ended = false;
    const sendWaiting = () => {
      if (sending) return;
      if (waiting.length === 0) return void (ended && post("/end", Buffer.alloc(0)).then(resolve, reject));
      const body = Buffer.concat(waiting);
      waiting = [];
      sending = true;
      post("/lines", body).then(() => {
        sending = false;
        sendWaiting();
      }, reject);
    };
    child.stdout.on("data", (chunk: Buffer) => {
      waiting.push(chunk);
      sendWaiting();
    });
    child.once("error", reject);
    child.once("close", () => {
      ended = true;
      sendWaiting();
    });
  });
}

function post(path: string, body: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url + path,
      { method: "POST", agent, headers: { "content-length": body.length } },
      (response) => {
        response.resume().once("end", resolve).once("error", reject);
      },
    );
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}
