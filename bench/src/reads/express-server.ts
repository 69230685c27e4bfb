// The yardstick of the reads: a bare Express route for each, that sends the same bytes.
//
//   node express-server.ts PORT FILE
//
// FILE is JSON, the bodies by their paths.
import { readFileSync } from "node:fs";
import express from "express";

const [port, file] = process.argv.slice(2);
const bodies = JSON.parse(readFileSync(file ?? "", "utf8")) as Record<string, string>;
const app = express();
for (const [path, body] of Object.entries(bodies)) {
  const bytes = Buffer.from(body);
  app.get(path, (_request, response) => void response.type("application/json").send(bytes));
}
// Connections wait for their next turn longer than by default.
app.listen(Number(port), "127.0.0.1").keepAliveTimeout = 60_000;
