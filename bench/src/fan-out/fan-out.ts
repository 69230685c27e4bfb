import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeLogRecord } from "@shipfox/shared/log-records";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { startShipfox } from "../log-ingest/contenders.ts";
import { awaitReady, freePort, startProcess } from "../server-process.ts";
import { median, ratios, rotated, spread } from "../statistics.ts";
import { Readers } from "./readers.ts";

const READERS = 1_000;
const LINES_OF_APPEND = 20;
const LINE_CHARS = 80;
const FULL = { rounds: 7, warmUpRounds: 2, appends: 60 };
const QUICK = { rounds: 2, warmUpRounds: 1, appends: 10 };
const AIM_OF_CEILING = 0.4;
const AIM_OF_MESSAGES = 5;
const POST_TIMEOUT_MS = 60_000;

export const fanOut: Bench = {
  name: "fan-out",
  title: "Fan-out",
  about: `One log, ${READERS} readers of its event stream, appends of ${LINES_OF_APPEND} lines, each sent when the one before was answered;
counted until every reader has the last line. Ours makes each append durable before it is shown, and reads with rights and
cursors. The ceiling is a bare \`node:http\` server that writes all lines of an append as one pre-framed buffer to each
reader; the others write line by line, as server-sent events and as messages of a WebSocket. Rounds interleaved in rotating order; the readers are plain sockets in one process.`,
  needsDocker: false,
  run,
};

interface Side {
  readonly name: string;
  readonly readers: Readers;
  readonly append: (chunk: Buffer) => Promise<void>;
  readonly linesPerSecond: number[];
}

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const plan = quick ? QUICK : FULL;
  const folder = await mkdtemp(join(tmpdir(), "shipfox-bench-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const sides = [
    await openShipfox(folder, resources),
    await openPeer("coalesced", "bare node:http, one buffer an append", folder, resources),
    await openPeer("lines", "bare node:http, one write a line", folder, resources),
    await openPeer("messages", "bare ws, one message a line", folder, resources),
  ] as const;
  for (let round = -plan.warmUpRounds; round < plan.rounds; round += 1) {
    for (const side of rotated(sides, round + plan.warmUpRounds)) {
      stop.throwIfAborted();
      const marker = `end of round ${round + plan.warmUpRounds} of ${side.name}`;
      const startedAt = performance.now();
      const arrived = side.readers.haveAll(marker);
      for (let index = 1; index < plan.appends; index += 1) await side.append(chunkOf(""));
      await side.append(chunkOf(marker));
      await arrived;
      const seconds = (performance.now() - startedAt) / 1000;
      if (round >= 0) side.linesPerSecond.push((plan.appends * LINES_OF_APPEND * READERS) / seconds);
    }
    const latest = sides.map(
      ({ name, linesPerSecond }) => `${name} ${linesPerSecond.at(-1)?.toFixed(0) ?? "warming up"}`,
    );
    say(`round ${round + 1} of ${plan.rounds}, lines/s: ${latest.join(", ")}`);
  }
  const [ours, ceiling, , messages] = sides;
  const over = (side: Side) => ratios(ours.linesPerSecond, side.linesPerSecond);
  return {
    tables: [
      {
        header: [`to ${READERS} readers`, "lines/s delivered, median (min–max)", "Shipfox ÷ this"],
        rows: sides.map((side) => [side.name, spread(side.linesPerSecond, 0), spread(over(side), 2)]),
      },
    ],
    aims: [
      { what: "Shipfox ÷ one buffer an append", measured: median(over(ceiling)), bound: { atLeast: AIM_OF_CEILING } },
      { what: "Shipfox ÷ one message a line", measured: median(over(messages)), bound: { atLeast: AIM_OF_MESSAGES } },
    ],
    notes: ["The readers share the two cores with the servers, and cost the same for all of them."],
  };
}

async function openShipfox(folder: string, resources: AsyncDisposableStack): Promise<Side> {
  const planeFolder = join(folder, "shipfox");
  await mkdir(planeFolder);
  const shipfox = await startShipfox(planeFolder, 1, resources);
  const readers = resources.adopt(new Readers(), (open) => open.close());
  const [append] = shipfox.logs;
  const [stepId] = shipfox.stepIds;
  if (!append || stepId === undefined) throw new Error("there is no log");
  // A stream begins with its first bytes.
  await append(chunkOf(""));
  const { url, token } = shipfox.plane;
  await readers.open(url, `/steps/${stepId}/attempts/1/logs/stream`, `authorization: Bearer ${token}`, READERS);
  return { name: "Shipfox", readers, append, linesPerSecond: [] };
}

async function openPeer(mode: string, name: string, folder: string, resources: AsyncDisposableStack): Promise<Side> {
  const port = await freePort();
  const program = fileURLToPath(import.meta.resolve("./fan-out-server.ts"));
  const plan = {
    name,
    command: process.execPath,
    args: [program, mode, String(port)],
    logFile: join(folder, `${mode}.log`),
  };
  const server = startProcess(plan, resources);
  const url = `http://127.0.0.1:${port}`;
  await awaitReady(url, server);
  const readers = resources.adopt(new Readers(), (open) => open.close());
  if (mode === "messages") await readers.open(url, "/messages", handshake(), READERS);
  else await readers.open(url, "/stream", "accept: text/event-stream", READERS);
  const append = async (chunk: Buffer): Promise<void> => {
    const options = { method: "POST", body: new Uint8Array(chunk), signal: AbortSignal.timeout(POST_TIMEOUT_MS) };
    await (await fetch(url, options)).arrayBuffer();
  };
  return { name, readers, append, linesPerSecond: [] };
}

/** What a client of a WebSocket asks with (RFC 6455). */
function handshake(): string {
  const key = randomBytes(16).toString("base64");
  return `connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${key}`;
}

/** Whole records; the last one ends with `marker`. */
function chunkOf(marker: string): Buffer {
  const text = "a line of a build ".repeat(LINE_CHARS).slice(0, LINE_CHARS);
  const record = (data: string) => encodeLogRecord({ v: 1, ts: Date.now(), type: "output", stream: "stdout", data });
  return Buffer.from(record(`${text}\n`).repeat(LINES_OF_APPEND - 1) + record(`${text}${marker}\n`));
}
