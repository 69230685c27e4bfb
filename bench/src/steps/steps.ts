import { randomUUID } from "node:crypto";
import Docker from "dockerode";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { type DockerPeerOptions, engineExec, removePeers, startIdleContainer } from "../docker-peers.ts";
import { runStepsOf } from "../fire-and-follow.ts";
import { newWay, runInterleaved, type Way } from "../interleaved-rounds.ts";
import { sandboxImage } from "../runner.ts";
import { Stage } from "../stage.ts";
import { median, quantile, ratios } from "../statistics.ts";

const FULL = { rounds: 25, warmUpRounds: 2 };
const QUICK = { rounds: 2, warmUpRounds: 1 };
const STEPS_OF_JOB = 10;
/** Of a job that pauses between its steps. */
const PAUSED_STEPS = 5;
const PAUSE_SECONDS = 1;
/** When the step's command runs, in seconds of wall time with microseconds. */
const COMMAND = 'echo "at $EPOCHREALTIME"';
const LINE = /^at (\d+)[.,](\d{6})$/m;
const AIM = 0.08;
const AIM_MS = 5;
const PLAIN_AIM = 1.1;

export const steps: Bench = {
  name: "steps",
  title: "From step to step",
  about: `What a step costs beside its command, in a warm container: from the moment when the command of one step runs to the
moment when that of the next does, so the end of one (exit code, log acknowledged, report, files taken) and the start of the
other. A job of ${STEPS_OF_JOB} steps \`${COMMAND}\` without a pause; one of ${PAUSED_STEPS} steps that sleep ${PAUSE_SECONDS} s first, as long as the runner
needs to start its next shells ahead, without the sleep; and the first again with \`SHIPFOX_RUNNER_EXEC=plain\`. The yardstick
is the same command by \`exec\` through the Engine API, created, started and read to its exit code, one after another.
Rounds interleaved in rotating order.`,
  needsDocker: true,
  run,
};

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const ways = await prepare(resources);
  await runInterleaved(Object.values(ways), quick ? QUICK : FULL, { stop, say });
  return report(ways);
}

async function prepare(resources: AsyncDisposableStack) {
  const docker = new Docker();
  const image = sandboxImage();
  const peers: DockerPeerOptions = { docker, image, command: COMMAND, runId: randomUUID() };
  resources.defer(() => removePeers(peers));
  const idle = await startIdleContainer(peers);
  const stage = await Stage.open(resources);
  const open = async (label: string, exec: "fast" | "plain") => {
    await stage.runner({ label, docker: { image, warm: 1 }, settings: { SHIPFOX_RUNNER_EXEC: exec } });
    return await stage.define(
      label,
      Array.from({ length: STEPS_OF_JOB }, () => COMMAND),
    );
  };
  const fast = await open("bench-fast", "fast");
  const plain = await open("bench-plain", "plain");
  const paused = await stage.define(
    "bench-fast",
    Array.from({ length: PAUSED_STEPS }, () => `sleep ${PAUSE_SECONDS}; ${COMMAND}`),
  );
  return {
    fast: newWay("Shipfox, no pause", () => periods(stage, fast, 0)),
    paused: newWay("Shipfox, steps of a second", () => periods(stage, paused, PAUSE_SECONDS * 1000)),
    plain: newWay("Shipfox, plain exec", () => periods(stage, plain, 0)),
    exec: newWay("exec (Engine API)", async () => {
      const samples: number[] = [];
      for (let count = 1; count < STEPS_OF_JOB; count += 1) samples.push((await engineExec(idle, COMMAND)).end);
      return samples;
    }),
  };
}

/** Runs the job; the times between what its steps print, less `pauseMs`. */
async function periods(stage: Stage, definitionId: string, pauseMs: number): Promise<number[]> {
  const detail = await stage.reader.untilOver(await stage.reader.fire(definitionId));
  const times: number[] = [];
  for (const step of runStepsOf(detail)) {
    let text = "";
    await stage.reader.readLog(step.id, (record) => (text += record.type === "output" ? record.data : ""));
    const [, seconds, microseconds] = LINE.exec(text) ?? [];
    if (seconds === undefined) throw new Error(`a step of a ${detail.status} run printed no time: ${text}`);
    times.push(Number(seconds) * 1000 + Number(microseconds) / 1000);
  }
  return times.slice(1).map((time, index) => time - (times[index] as number) - pauseMs);
}

function report({ fast, paused, plain, exec }: Awaited<ReturnType<typeof prepare>>): BenchReport {
  const over = (way: Way) => median(ratios(way.medians, exec.medians));
  const row = (way: Way) => [
    way.name,
    String(way.samples.length),
    ...[0, 0.5, 0.9, 0.99].map((share) => quantile(way.samples, share).toFixed(1)),
    over(way).toFixed(2),
  ];
  return {
    tables: [
      {
        header: ["a step, ms", "n", "min", "p50", "p90", "p99", "p50 ÷ exec, median of the rounds"],
        rows: [fast, paused, plain, exec].map(row),
      },
    ],
    aims: [
      { what: "H3: no pause ÷ exec", measured: over(fast), bound: { atMost: AIM } },
      { what: "H3: no pause p50, ms", measured: median(fast.samples), bound: { atMost: AIM_MS } },
      { what: "H3: steps of a second ÷ exec", measured: over(paused), bound: { atMost: AIM } },
      { what: "H3: plain exec ÷ exec", measured: over(plain), bound: { atMost: PLAIN_AIM } },
    ],
    notes: [
      "Without a pause the shells that wait ahead are soon used up, and a step waits for the start of a new one.",
    ],
  };
}
