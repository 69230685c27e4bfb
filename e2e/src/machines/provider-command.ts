#!/usr/bin/env node
// The executable of the `command` driver in tests: hands what it is asked to the provider that the test holds, and answers as told.
import { connect } from "node:net";
import { text } from "node:stream/consumers";

const [socketPath = "", operation = ""] = process.argv.slice(2);
const socket = connect(socketPath);
socket.on("error", (error) => {
  process.stderr.write(`the provider is gone: ${error.message}\n`);
  process.exit(1);
});
socket.end(JSON.stringify({ operation, input: await text(process.stdin) }));
const { exitCode, output, message } = JSON.parse(await text(socket));
process.stderr.write(message);
process.stdout.write(output, () => process.exit(exitCode));
