import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { createDefinition, startControlPlane } from "../control-plane.ts";
import { JsonClient } from "../json-client.ts";
import { median, quantile, rotated } from "../statistics.ts";
import {
  type DockerPeerOptions,
  dockerRun,
  engineExec,
  engineRun,
  removePeers,
  startIdleContainer,
} from "./docker-peers.ts";
import { EngineEvents, RunnerRooms } from "./runner-rooms.ts";
import { FireAndFollow, startRunner, workflow } from "./shipfox.ts";

const FULL_ROUNDS = 50;
const QUICK_ROUNDS = 3;
const WARM_UP_ROUNDS = 2;
const DEFAULT_IMAGE = "shipfox/sandbox:1";
const LINE = "first line";
const COMMAND = `echo "${LINE}"`;
const AIM_OF_EXEC = 1.5;
const AIM_OF_RUN = 1.2;

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
  const folder = await mkdtemp(join(tmpdir(), "shipfox-bench-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const docker = new Docker();
  const image = process.env["SHIPFOX_RUNNER_IMAGE"] || DEFAULT_IMAGE;
  const peers: DockerPeerOptions = { docker, image, command: COMMAND, runId: randomUUID() };
  resources.defer(() => removePeers(peers));
  const events = await EngineEvents.open(docker, resources);
  const idle = await startIdleContainer(peers);

  const plane = await startControlPlane(folder, resources);
  const client = resources.adopt(new JsonClient(plane.url, 1), (open) => open.close());
  const reader = resources.adopt(new FireAndFollow(client, plane), (open) => open.close());
  const open = async (label: string, warm: 0 | 1) => {
    const runner = await startRunner(client, plane, join(folder, label), { label, docker: { image, warm } }, resources);
    const definitionId = await createDefinition(client, plane, workflow(label, COMMAND));
    const rooms = new RunnerRooms(docker, events, runner);
    return { rooms, fire: () => reader.run(definitionId, LINE) };
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
    exec: way("docker exec (Engine API)", () => engineExec(idle, COMMAND)),
    cold: way("Shipfox, cold", async () => {
      const milliseconds = await cold.fire();
      await cold.rooms.awaitPlace();
      return milliseconds;
    }),
    run: way("docker run --rm (CLI)", () => dockerRun(peers)),
    engine: way("create, attach, start (Engine API)", () => engineRun(peers)),
  };
}

function report(ways: Awaited<ReturnType<typeof prepare>>): BenchReport {
  const { warm, exec, cold, run: cli, engine } = ways;
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
        rows: [warm, exec, cold, cli, engine].map(row),
      },
    ],
    aims: [
      { what: "warm p50 ÷ docker exec p50", measured: overP50(warm, exec), bound: { atMost: AIM_OF_EXEC } },
      { what: "cold p50 ÷ docker run p50", measured: overP50(cold, cli), bound: { atMost: AIM_OF_RUN } },
    ],
    notes: ["The last three columns divide p50 by p50.", `The command is \`${COMMAND}\`.`],
  };
}
