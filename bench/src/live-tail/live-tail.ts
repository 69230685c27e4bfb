import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { newWay, runInterleaved, type Way } from "../interleaved-rounds.ts";
import { sandboxImage } from "../runner.ts";
import { Stage } from "../stage.ts";
import { quantile } from "../statistics.ts";
import { startBareChain } from "./bare-chain.ts";
import { WallClock } from "../wall-clock.ts";

const FULL = { rounds: 12, warmUpRounds: 2 };
const QUICK = { rounds: 2, warmUpRounds: 1 };
const LINES_OF_ROUND = 60;
/** The first lines of a round meet connections and code that are still cold, on all sides. */
const SKIPPED_LINES = 10;
const AIM = 1.5;
/** One line about every 20 ms, each with the time at which it was printed, in microseconds of wall time. */
const COMMAND = `for i in $(seq ${LINES_OF_ROUND}); do sleep 0.02; echo "at $EPOCHREALTIME"; done`;
const LINE = /^at (\d+)[.,](\d{6})$/;

export const liveTail: Bench = {
  name: "live-tail",
  title: "Live tail",
  about: `From the moment when a step's command prints a line to the moment when a reader of the event stream has it, one line about
every 20 ms. Ours goes through the real runner (framing, masking, spool on disk) and the real control plane (checked, durable,
then shown). The bare chain is a process that POSTs what the same command prints and a \`node:http\` server that sends it on as
events: nothing is kept. ${LINES_OF_ROUND} lines a round, the first ${SKIPPED_LINES} left out, rounds interleaved in rotating order.`,
  needsDocker: true,
  run,
};

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const ways = await prepare(resources);
  await runInterleaved(Object.values(ways), quick ? QUICK : FULL, { stop, say });
  return report(ways);
}

async function prepare(resources: AsyncDisposableStack) {
  const stage = await Stage.open(resources);
  const bare = await startBareChain(stage.folder, COMMAND, resources);
  const shipfox = async (label: string, docker: { image: string; warm: 1 } | null) => {
    await stage.runner({ label, docker });
    const definitionId = await stage.define(label, [COMMAND]);
    return measuring(async (onLine) => {
      await stage.reader.follow(definitionId, (record) => {
        if (record.type === "output") onLine(record.data.trimEnd());
      });
    });
  };
  return {
    host: newWay("Shipfox, host sandbox", await shipfox("bench-host", null)),
    docker: newWay("Shipfox, Docker sandbox", await shipfox("bench-docker", { image: sandboxImage(), warm: 1 })),
    bare: newWay(
      "bare node chain",
      measuring((onLine) => bare.run(onLine)),
    ),
  };
}

function measuring(follow: (onLine: (line: string) => void) => Promise<void>): Way["round"] {
  return async () => {
    const clock = new WallClock();
    const latencies: number[] = [];
    await follow((line) => {
      const now = clock.now();
      const [, seconds, microseconds] = LINE.exec(line) ?? [];
      if (seconds !== undefined) latencies.push(now - Number(seconds) * 1000 - Number(microseconds) / 1000);
    });
    if (latencies.length !== LINES_OF_ROUND) throw new Error(`${latencies.length} of ${LINES_OF_ROUND} lines came`);
    return latencies.slice(SKIPPED_LINES);
  };
}

function report({ host, docker, bare }: Awaited<ReturnType<typeof prepare>>): BenchReport {
  const over = (way: Way, share: number) => quantile(way.samples, share) / quantile(bare.samples, share);
  const row = (way: Way) => [
    way.name,
    String(way.samples.length),
    ...[0, 0.5, 0.9, 0.99].map((share) => quantile(way.samples, share).toFixed(2)),
    over(way, 0.5).toFixed(2),
    over(way, 0.99).toFixed(2),
  ];
  return {
    tables: [
      {
        header: ["line printed to reader, ms", "n", "min", "p50", "p90", "p99", "p50 ÷ bare", "p99 ÷ bare"],
        rows: [host, docker, bare].map(row),
      },
    ],
    aims: [
      { what: "host sandbox p50 ÷ bare chain", measured: over(host, 0.5), bound: { atMost: AIM } },
      { what: "host sandbox p99 ÷ bare chain", measured: over(host, 0.99), bound: { atMost: AIM } },
      { what: "Docker sandbox p50 ÷ bare chain", measured: over(docker, 0.5), bound: { atMost: AIM } },
    ],
    notes: ["Docker adds its own way from the container's pipe to the runner; the bare chain reads the pipe itself."],
  };
}
