import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import Docker from "dockerode";
import { execa } from "execa";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { stepsOf } from "../fire-and-follow.ts";
import { sandboxImage } from "../runner.ts";
import { EngineEvents, RunnerRooms } from "../runner-rooms.ts";
import { awaitReady, freePort, startProcess } from "../server-process.ts";
import { openFolder, Stage } from "../stage.ts";
import { median, quantile, ratios, rotated } from "../statistics.ts";
import { SampleRepository } from "./sample-repository.ts";

const FULL = { rounds: 40, warmUpRounds: 3 };
const QUICK = { rounds: 3, warmUpRounds: 1 };
const LABEL = "bench-checkout";
const CLONE_TIMEOUT_MS = 30_000;
const LINE = /^Checked out [0-9a-f]+ after (\d+) ms$/m;
const AIM = 0.4;

export const checkout: Bench = {
  name: "checkout",
  title: "Warm checkout",
  about: `The checkout of a real job in the warm Docker sandbox, of a repository that the runner has seen before: 200 files of 4 KiB,
101 commits and more, depth 1, over HTTP from \`git http-backend\`. The time is the runner's own, "Checked out … after N ms" in the
log of the set-up step; beside it that whole step from its start to its report, as the control plane stores it. Either the
job is at the commit of the job before, or one commit has come in between. Both ask the server where the branch is. The next
job starts when a warm container waits again. The yardstick is \`git clone --depth 1\` from the same server into an empty folder. Rounds
interleaved in rotating order.`,
  needsDocker: true,
  run,
};

interface Way {
  readonly name: string;
  readonly round: () => Promise<Sample>;
  readonly samples: Sample[];
}

interface Sample {
  readonly checkoutMs: number;
  /** The whole set-up step; of a clone the same. */
  readonly stepMs: number;
}

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const plan = quick ? QUICK : FULL;
  const ways = await prepare(resources);
  const all = Object.values(ways);
  for (let round = -plan.warmUpRounds; round < plan.rounds; round += 1) {
    for (const way of rotated(all, round + plan.warmUpRounds)) {
      stop.throwIfAborted();
      const sample = await way.round();
      if (round >= 0) way.samples.push(sample);
    }
    const latest = all.map(({ name, samples }) => `${name} ${samples.at(-1)?.checkoutMs.toFixed(0) ?? "warming up"}`);
    say(`round ${round + 1} of ${plan.rounds}, ms: ${latest.join(", ")}`);
  }
  return report(ways);
}

async function prepare(resources: AsyncDisposableStack) {
  const folder = await openFolder(resources);
  const served = join(folder, "served");
  await mkdir(served);
  const repository = await SampleRepository.make(join(folder, "sample"), served);
  const url = `${await startGitServer(folder, served, resources)}/sample.git`;
  const settings = { SHIPFOX_GIT_ALLOW_HTTP: "true", SHIPFOX_GIT_ALLOW_PRIVATE: "true" };
  const stage = await Stage.open(resources, { settings, repositoryUrl: url });
  const docker = new Docker();
  const events = await EngineEvents.open(docker, resources);
  const runner = await stage.runner({ label: LABEL, docker: { image: sandboxImage(), warm: 1 } });
  const rooms = new RunnerRooms(docker, events, runner);
  await rooms.awaitWarm();
  const definitionId = await stage.define(LABEL, ["true"], { checkout: true });
  const way = (name: string, round: Way["round"]): Way => ({ name, round, samples: [] });
  return {
    same: way("Shipfox, the commit of the job before", async () => await checkOut(stage, rooms, definitionId)),
    next: way("Shipfox, one commit further", async () => {
      await repository.moveOn();
      return await checkOut(stage, rooms, definitionId);
    }),
    clone: way("git clone --depth 1", async () => {
      const target = join(folder, "clone");
      const startedAt = performance.now();
      await execa("git", ["clone", "--quiet", "--depth", "1", url, target], { timeout: CLONE_TIMEOUT_MS });
      const milliseconds = performance.now() - startedAt;
      await rm(target, { recursive: true });
      return { checkoutMs: milliseconds, stepMs: milliseconds };
    }),
  };
}

async function startGitServer(folder: string, served: string, resources: AsyncDisposableStack): Promise<string> {
  const port = await freePort();
  const file = fileURLToPath(import.meta.resolve("./git-backend-server.ts"));
  const args = [file, String(port), served];
  const plan = { name: "git-server", command: process.execPath, args, logFile: join(folder, "git-server.log") };
  const server = startProcess(plan, resources);
  const url = `http://127.0.0.1:${port}`;
  await awaitReady(`${url}/`, server);
  return url;
}

async function checkOut(stage: Stage, rooms: RunnerRooms, definitionId: string): Promise<Sample> {
  const detail = await stage.reader.untilOver(await stage.reader.fire(definitionId));
  const setup = stepsOf(detail).find(({ type }) => type === "setup");
  const attempt = setup?.attempts[0];
  if (!setup || !attempt?.finished_at) throw new Error(`a ${detail.status} run has no set-up step that ended`);
  let text = "";
  await stage.reader.readLog(setup.id, (record) => (text += record.type === "output" ? record.data : ""));
  const [, milliseconds] = LINE.exec(text) ?? [];
  await rooms.awaitWarm();
  if (milliseconds === undefined) throw new Error(`the set-up step did not say what it checked out:\n${text}`);
  return {
    checkoutMs: Number(milliseconds),
    stepMs: Date.parse(attempt.finished_at) - Date.parse(attempt.started_at),
  };
}

function report({ same, next, clone }: Awaited<ReturnType<typeof prepare>>): BenchReport {
  const of = (way: Way, part: keyof Sample) => way.samples.map((sample) => sample[part]);
  const over = (way: Way, part: keyof Sample) => median(ratios(of(way, part), of(clone, part)));
  const row = (name: string, way: Way, part: keyof Sample) => [
    name,
    String(way.samples.length),
    ...[0, 0.5, 0.9, 0.99].map((share) => quantile(of(way, part), share).toFixed(1)),
    over(way, part).toFixed(2),
  ];
  return {
    tables: [
      {
        header: ["ms", "n", "min", "p50", "p90", "p99", "÷ clone, median of the rounds"],
        rows: [
          row(same.name, same, "checkoutMs"),
          row(next.name, next, "checkoutMs"),
          row("the whole set-up step, the same commit", same, "stepMs"),
          row("the whole set-up step, one commit further", next, "stepMs"),
          row(clone.name, clone, "checkoutMs"),
        ],
      },
    ],
    aims: [{ what: "H13: checkout ÷ git clone --depth 1", measured: over(same, "checkoutMs"), bound: { atMost: AIM } }],
    notes: [
      "The whole set-up step includes the way to the control plane for the address and the credential, and its log.",
    ],
  };
}
