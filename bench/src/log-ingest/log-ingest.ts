import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeLogRecord } from "@shipfox/shared/log-records";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { processorMs } from "../server-process.ts";
import { median, ratios, rotated, spread } from "../statistics.ts";
import { type Contender, startPeer, startShipfox } from "./contenders.ts";

const LOGS = 16;
const LINE_CHARS = 100;
const KIBIBYTE = 1024;
const MEGABYTE = 1e6;
const SIZES = [
  { chunkBytes: 64 * KIBIBYTE, aimOfSink: 0.35, bytesOfRound: 32 * MEGABYTE },
  { chunkBytes: 4 * KIBIBYTE, aimOfSink: 0.3, bytesOfRound: 6 * MEGABYTE },
] as const;
const AIM_OF_BLOBS = 2;
const FULL = { rounds: 7, warmUpRounds: 2, share: 1 };
const QUICK = { rounds: 2, warmUpRounds: 1, share: 0.1 };

export const logIngest: Bench = {
  name: "log-ingest",
  title: "Log ingest",
  about: `Appends to ${LOGS} logs at once over kept-alive connections, each acknowledged when it is durable before the next is
sent; lines of ${LINE_CHARS} characters as the runner frames them. Ours checks the lease and every record, and appends at the
offset. The sink is a bare \`node:http\` server that reads the body and answers; the one with files appends each
chunk with \`O_DSYNC\`, which is what the disk allows; the SQLite peer inserts each chunk as a blob with
\`synchronous=FULL\`, one transaction for all chunks of a turn of the event loop. Rounds interleaved in rotating order.`,
  needsDocker: false,
  run,
};

interface Measured {
  readonly contender: Contender;
  readonly megabytesPerSecond: number[];
  readonly serverMsPerMegabyte: number[];
}

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const plan = quick ? QUICK : FULL;
  const folder = await mkdtemp(join(tmpdir(), "shipfox-bench-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const planeFolder = join(folder, "shipfox");
  await mkdir(planeFolder);
  const contenders = [
    await startShipfox(planeFolder, LOGS, resources),
    await startPeer("sink", folder, LOGS, resources),
    await startPeer("files", folder, LOGS, resources),
    await startPeer("blobs", folder, LOGS, resources),
  ] as const;

  const tables: BenchReport["tables"][number][] = [];
  const aims: BenchReport["aims"][number][] = [];
  for (const { chunkBytes, aimOfSink, bytesOfRound } of SIZES) {
    const chunk = chunkOf(chunkBytes);
    const appends = Math.ceil((bytesOfRound * plan.share) / chunk.length / LOGS);
    const all = contenders.map(
      (contender): Measured => ({ contender, megabytesPerSecond: [], serverMsPerMegabyte: [] }),
    );
    const [ours, sink, , blobs] = all as [Measured, Measured, Measured, Measured];
    for (let round = -plan.warmUpRounds; round < plan.rounds; round += 1) {
      for (const measured of rotated(all, round + plan.warmUpRounds)) {
        stop.throwIfAborted();
        await runRound(measured, chunk, appends, round >= 0);
      }
      const latest = all.map(
        ({ contender, megabytesPerSecond }) =>
          `${contender.name} ${megabytesPerSecond.at(-1)?.toFixed(0) ?? "warming up"}`,
      );
      say(`${chunkBytes / KIBIBYTE} KiB, round ${round + 1} of ${plan.rounds}, MB/s: ${latest.join(", ")}`);
    }
    const size = `${chunkBytes / KIBIBYTE} KiB`;
    tables.push({
      header: [`appends of ${size}`, "MB/s, median (min–max)", "Shipfox ÷ this", "server CPU ms/MB"],
      rows: all.map((measured) => [
        measured.contender.name,
        spread(measured.megabytesPerSecond, 0),
        spread(ratios(ours.megabytesPerSecond, measured.megabytesPerSecond), 2),
        median(measured.serverMsPerMegabyte).toFixed(2),
      ]),
    });
    const over = (peer: Measured) => median(ratios(ours.megabytesPerSecond, peer.megabytesPerSecond));
    aims.push({ what: `${size}: Shipfox ÷ sink`, measured: over(sink), bound: { atLeast: aimOfSink } });
    aims.push({ what: `${size}: Shipfox ÷ SQLite blobs`, measured: over(blobs), bound: { atLeast: AIM_OF_BLOBS } });
  }
  return {
    tables,
    aims,
    notes: [
      `${plan.rounds} rounds; ratios are taken round by round, then their median.`,
      "Where an aim is missed: docs/performance.md.",
    ],
  };
}

async function runRound(measured: Measured, chunk: Buffer, appends: number, counts: boolean): Promise<void> {
  const { contender } = measured;
  const processorBefore = (await processorMs(contender.pid)) ?? 0;
  const startedAt = performance.now();
  await Promise.all(
    contender.logs.map(async (append) => {
      for (let index = 0; index < appends; index += 1) await append(chunk);
    }),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const processor = ((await processorMs(contender.pid)) ?? 0) - processorBefore;
  if (!counts) return;
  const megabytes = (chunk.length * appends * contender.logs.length) / MEGABYTE;
  measured.megabytesPerSecond.push(megabytes / seconds);
  measured.serverMsPerMegabyte.push(processor / megabytes);
}

/** Whole records, as many as fit. */
function chunkOf(maxBytes: number): Buffer {
  const record = encodeLogRecord({
    v: 1,
    ts: Date.now(),
    type: "output",
    stream: "stdout",
    data: `${"a line of a build ".repeat(LINE_CHARS).slice(0, LINE_CHARS)}\n`,
  });
  return Buffer.from(record.repeat(Math.floor(maxBytes / record.length)));
}
