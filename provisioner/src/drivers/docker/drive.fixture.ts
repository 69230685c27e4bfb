// One call to the docker driver in a process of its own: `{settings, call, arguments}` comes as JSON on standard input, which shows a
// token to nobody, and the answer goes out as JSON.
import { json } from "node:stream/consumers";
import { dockerDriver } from "./docker-driver.ts";

interface Order {
  readonly settings: unknown;
  readonly call: "create" | "list" | "delete" | "readConsole" | "check";
  readonly argument: never;
}

const { settings, call, argument } = (await json(process.stdin)) as Order;
const folder = "/nonexistent";
const provider = await dockerDriver.open(dockerDriver.settingsSchema.parse(settings), {
  stateDir: folder,
  baseDir: folder,
});
const answer = await provider[call](argument, new AbortController().signal);
console.log(JSON.stringify(answer ?? null));
