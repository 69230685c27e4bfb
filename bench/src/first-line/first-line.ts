import { randomUUID } from "node:crypto";
import Docker from "dockerode";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { sandboxImage } from "../runner.ts";
import { Stage } from "../stage.ts";
import { median, quantile, rotated } from "../statistics.ts";
import {
  type DockerPeerOptions,
  dockerRun,
  engineExec,
  engineRun,
  removePeers,
  startIdleContainer,
} from "../docker-peers.ts";
import { EngineEvents, RunnerRooms } from "../runner-rooms.ts";

const FULL_ROUNDS = 50;
const QUICK_ROUNDS = 3;
const WARM_UP_ROUNDS = 2;
const LINE = "first line";
const COMMAND = `echo "${LINE}"`;
const AIM_WARM_MS = { p50: 8, p99: 25 };
const AIM_OF_FINISHED_RUN = 0.03;
const AIM_OF_ENGINE = 1.05;

export const firstLine: Bench = {
  name: "first-line",
  title: "Fire to first log line",
  about: `From the fire-manual request to the first line of the step's output at a reader of the event stream, with the real
control plane, the real runner and Docker; warm: a container was started ahead; cold: \`SHIPFOX_RUNNER_WARM=0\`, only the place with its network was made ahead. Beside it the
same command bare, to its first byte. One sample of each per round, in rotating order; after each of ours the engine
first finishes what it started: the next warm container, the removal of the last one.`,
  needsDocker: true,
  run,
};

interface Way {
  readonly name: string;
  /** One sample in milliseconds. */
  readonly sample: () => Promise<number>;
  readonly samples: number[];
}

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const rounds = quick ? QUICK_ROUNDS : FULL_ROUNDS;
  const ways = await prepare(resources);
  const all = Object.values(ways);
  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) {
    for (const way of rotated(all, round)) await way.sample();
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const way of rotated(all, round)) {
      stop.throwIfAborted();
      way.samples.push(await way.sample());
    }
    const latest = all.map(({ name, samples }) => `${name} ${samples.at(-1)?.toFixed(0)}`);
    say(`round ${round + 1} of ${rounds}, ms: ${latest.join(", ")}`);
  }
  return report(ways);
}

async function prepare(resources: AsyncDisposableStack) {
  const docker = new Docker();
  const image = sandboxImage();
  const peers: DockerPeerOptions = { docker, image, command: COMMAND, runId: randomUUID() };
  resources.defer(() => removePeers(peers));
  const events = await EngineEvents.open(docker, resources);
  const idle = await startIdleContainer(peers);

  const stage = await Stage.open(resources);
  const open = async (label: string, warm: 0 | 1) => {
    const runner = await stage.runner({ label, docker: { image, warm } });
    const definitionId = await stage.define(label, [COMMAND]);
    const rooms = new RunnerRooms(docker, events, runner);
    return { rooms, fire: () => stage.reader.run(definitionId, LINE) };
  };
  const warm = await open("bench-warm", 1);
  const cold = await open("bench-cold", 0);
  await warm.rooms.awaitWarm();
  await cold.rooms.awaitPlace();
  const way = (name: string, sample: () => Promise<number>): Way => ({ name, sample, samples: [] });
  return {
    warm: way("Shipfox, warm", async () => {
      const milliseconds = await warm.fire();
      await warm.rooms.awaitWarm();
      return milliseconds;
    }),
    exec: way("docker exec (Engine API)", async () => (await engineExec(idle, COMMAND)).firstByte),
    cold: way("Shipfox, cold", async () => {
      const milliseconds = await cold.fire();
      await cold.rooms.awaitPlace();
      return milliseconds;
    }),
    run: way("docker run --rm (CLI)", async () => (await dockerRun(peers)).firstByte),
    finished: way("docker run --rm (CLI), to its end", async () => (await dockerRun(peers)).end),
    engine: way("create, attach, start (Engine API)", () => engineRun(peers)),
  };
}

function report(ways: Awaited<ReturnType<typeof prepare>>): BenchReport {
  const { warm, exec, cold, run: cli, finished, engine } = ways;
  const overP50 = (way: Way, yardstick: Way) => median(way.samples) / median(yardstick.samples);
  const row = (way: Way) => [
    way.name,
    String(way.samples.length),
    ...[0, 0.5, 0.9, 0.99].map((share) => quantile(way.samples, share).toFixed(1)),
    ...[exec, cli, engine].map((yardstick) => overP50(way, yardstick).toFixed(2)),
  ];
  return {
    tables: [
      {
        header: ["to the first line or byte, ms", "n", "min", "p50", "p90", "p99", "÷ exec", "÷ run", "÷ create+start"],
        rows: [warm, exec, cold, cli, finished, engine].map(row),
      },
    ],
    aims: [
      { what: "H1: warm p50, ms", measured: median(warm.samples), bound: { atMost: AIM_WARM_MS.p50 } },
      { what: "H1: warm p99, ms", measured: quantile(warm.samples, 0.99), bound: { atMost: AIM_WARM_MS.p99 } },
      {
        what: "H1: warm p50 ÷ docker run to its end p50",
        measured: overP50(warm, finished),
        bound: { atMost: AIM_OF_FINISHED_RUN },
      },
      {
        what: "H2: cold p50 ÷ create+attach+start p50",
        measured: overP50(cold, engine),
        bound: { atMost: AIM_OF_ENGINE },
      },
    ],
    notes: ["The last three columns divide p50 by p50.", `The command is \`${COMMAND}\`.`],
  };
}
