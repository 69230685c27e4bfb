import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import Docker from "dockerode";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { type DockerPeerOptions, engineExec, removePeers, startIdleContainer } from "../docker-peers.ts";
import { processesWith, untilDead } from "../processes.ts";
import { sandboxImage } from "../runner.ts";
import { Stage } from "../stage.ts";
import { median, quantile, rotated } from "../statistics.ts";
import { WallClock } from "../wall-clock.ts";

const FULL = { rounds: 40, stubbornRounds: 8 };
const QUICK = { rounds: 2, stubbornRounds: 1 };
const WARM_UP_ROUNDS = 1;
const GRACE_MS = 2_000;
const DEAD_TIMEOUT_MS = 30_000;
const START_TIMEOUT_MS = 10_000;
const POLL_MS = 5;
/** In the command lines of `stubborn`: three sleeps. */
const STUBBORN_PROCESSES = 3;
const READY = "ready";
/** Numbers of seconds by which the processes of one sandbox are found. */
const MARKS = { docker: "76543.25", host: "76543.75" };
/** Says when the signal came, in seconds of wall time with microseconds. */
const OBEDIENT = `trap 'echo "term at $EPOCHREALTIME"; exit 143' TERM; sleep 60 & echo ${READY}; wait`;
const LINE = /^term at (\d+)[.,](\d{6})$/m;
const AIM_TERM_P95_MS = 300;
const AIM_DEAD_MS = 2_000;

/** Three processes that heed no SIGTERM, one of them in a session of its own. */
function stubborn(mark: string): string {
  return `trap '' TERM; setsid sleep ${mark} & sleep ${mark} & echo ${READY}; sleep ${mark}`;
}

export const cancel: Bench = {
  name: "cancel",
  title: "Cancel",
  about: `From the cancel request of a user to what it does on the runner's machine. To SIGTERM: the step's shell traps it and
prints the time. To a dead tree: three processes that ignore SIGTERM, one in a session of its own, are looked for every
5 ms until none is left; with a grace of ${GRACE_MS / 1000} s, which is not counted, and with \`{force: true}\`, which gives none. The
yardstick is a bare \`exec\` through the Engine API to its first byte: the least that a signal into a container costs. Rounds
interleaved in rotating order.`,
  needsDocker: true,
  run,
};

interface Way {
  readonly name: string;
  readonly kind: "term" | "dead" | "yardstick";
  /** One sample in milliseconds. */
  readonly sample: () => Promise<number>;
  readonly samples: number[];
}

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const { rounds, stubbornRounds } = quick ? QUICK : FULL;
  const ways = await prepare(resources);
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    for (const way of rotated(ways, round + WARM_UP_ROUNDS)) {
      if (way.kind === "dead" && (round < 0 || round >= stubbornRounds)) continue;
      stop.throwIfAborted();
      const milliseconds = await way.sample();
      if (round >= 0) way.samples.push(milliseconds);
    }
    const latest = ways.map(({ name, samples }) => `${name} ${samples.at(-1)?.toFixed(0) ?? "warming up"}`);
    say(`round ${round + 1} of ${rounds}, ms: ${latest.join(", ")}`);
  }
  return report(ways);
}

async function prepare(resources: AsyncDisposableStack): Promise<Way[]> {
  const docker = new Docker();
  const image = sandboxImage();
  const command = "echo here";
  const peers: DockerPeerOptions = { docker, image, command, runId: randomUUID() };
  resources.defer(() => removePeers(peers));
  const idle = await startIdleContainer(peers);
  const stage = await Stage.open(resources);
  const ways: Way[] = [];
  for (const [sandbox, title] of [
    ["docker", "Docker"],
    ["host", "host"],
  ] as const) {
    const label = `bench-${sandbox}`;
    await stage.runner({
      label,
      docker: sandbox === "docker" ? { image, warm: 1 } : null,
      settings: { SHIPFOX_RUNNER_CANCEL_GRACE_MS: String(GRACE_MS) },
    });
    const obedient = await stage.define(label, [OBEDIENT]);
    const mark = MARKS[sandbox];
    const stubbornId = await stage.define(label, [stubborn(mark)]);
    const dead = (force: boolean) => () => timeToDeath(stage, stubbornId, mark, force);
    ways.push(
      { name: `SIGTERM, ${title}`, kind: "term", sample: () => timeToSignal(stage, obedient), samples: [] },
      {
        name: `dead after the grace, ${title}`,
        kind: "dead",
        sample: async () => (await dead(false)()) - GRACE_MS,
        samples: [],
      },
      { name: `dead by force, ${title}`, kind: "dead", sample: dead(true), samples: [] },
    );
  }
  const exec = async () => (await engineExec(idle, command)).firstByte;
  return [...ways, { name: "exec (Engine API)", kind: "yardstick", sample: exec, samples: [] }];
}

async function timeToSignal(stage: Stage, definitionId: string): Promise<number> {
  const clock = new WallClock();
  const lines: string[] = [];
  const cancelledAt = await whenReady(stage, definitionId, lines, async (runId) => {
    const now = clock.now();
    await stage.reader.cancel(runId, { force: false });
    return now;
  });
  const [, seconds, microseconds] = LINE.exec(lines.join("\n")) ?? [];
  if (seconds === undefined) throw new Error(`the step's log does not show that SIGTERM came: ${lines.join("\n")}`);
  return Number(seconds) * 1000 + Number(microseconds) / 1000 - cancelledAt;
}

async function timeToDeath(stage: Stage, definitionId: string, mark: string, force: boolean): Promise<number> {
  return await whenReady(stage, definitionId, [], async (runId) => await cancelAndWait(stage, runId, mark, force));
}

/** Fires, and does `work` when the step is ready, whose lines are added to `lines`. Resolves when the run is over as well. */
async function whenReady<T>(
  stage: Stage,
  definitionId: string,
  lines: string[],
  work: (runId: string) => Promise<T>,
): Promise<T> {
  const ready = Promise.withResolvers<string>();
  const reading = stage.reader.follow(definitionId, (record, runId) => {
    if (record.type !== "output") return;
    const line = record.data.trimEnd();
    lines.push(line);
    if (line === READY) ready.resolve(runId);
  });
  reading.catch(ready.reject);
  const result = await work(await ready.promise);
  await stage.reader.untilOver(await reading);
  return result;
}

async function cancelAndWait(stage: Stage, runId: string, mark: string, force: boolean): Promise<number> {
  const processes = await startedProcesses(mark);
  const startedAt = performance.now();
  await Promise.all([stage.reader.cancel(runId, { force }), untilDead(processes, DEAD_TIMEOUT_MS)]);
  return performance.now() - startedAt;
}

/** The word of the step that it is ready may be here before all of its children run their own programs. */
async function startedProcesses(mark: string): Promise<number[]> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const processes = await processesWith(mark);
    if (processes.length >= STUBBORN_PROCESSES) return processes;
    if (performance.now() > deadline) throw new Error("the step's processes were not found");
    await sleep(POLL_MS);
  }
}

function report(ways: readonly Way[]): BenchReport {
  const yardstick = ways.filter(({ kind }) => kind === "yardstick").flatMap(({ samples }) => samples);
  const row = ({ name, samples }: Way) => [
    name,
    String(samples.length),
    ...[0, 0.5, 0.95, 1].map((share) => quantile(samples, share).toFixed(1)),
    (median(samples) / median(yardstick)).toFixed(2),
  ];
  const aims = ways.flatMap(({ name, kind, samples }) => {
    if (kind === "term")
      return [
        { what: `cancel to ${name}, p95, ms`, measured: quantile(samples, 0.95), bound: { atMost: AIM_TERM_P95_MS } },
      ];
    if (kind === "dead")
      return [
        { what: `cancel to ${name}, longest, ms`, measured: quantile(samples, 1), bound: { atMost: AIM_DEAD_MS } },
      ];
    return [];
  });
  return {
    tables: [{ header: ["cancel to, ms", "n", "min", "p50", "p95", "max", "p50 ÷ exec"], rows: ways.map(row) }],
    aims,
    notes: ["In Docker the signal is sent by an `exec`; the host sandbox signals the processes itself."],
  };
}
