import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { median, ratios, rotated, spread } from "../statistics.ts";
import { startLean, startNaive } from "./peers.ts";
import { type Contender, type Load, type RoundResult, runRound } from "./round.ts";
import { startShipfox } from "./shipfox.ts";

const RUNNERS = 64;
const PRODUCERS = 32;
const FULL = { rounds: 5, jobs: 3_000, warmUpRounds: 3 };
const QUICK = { rounds: 2, jobs: 300, warmUpRounds: 1 };
const AIM_OF_LEAN = 0.3;
const AIM_OF_NAIVE = 3;
const SYNC_PROBES = 200;
const SYNC_PROBE_BYTES = 4096;

export const jobsPerSecond: Bench = {
  name: "jobs",
  title: "No-op jobs per second, through the whole HTTP protocol",
  about: `One control plane and one client process with ${RUNNERS} simulated runners on kept-alive connections, SQLite with
\`synchronous=FULL\`. A job of ours is four requests with real credentials: fire-manual, a claim by long poll, a report for the
setup step and one for the run step. The lean ceiling is a raw \`node:http\` server with one request per transition (enqueue;
finish and claim) and group commit; the naive one is Express with four requests and four transactions a job. Equal job counts,
up to ${PRODUCERS} enqueue requests under way, rounds interleaved in rotating order after a warm-up of each.`,
  needsDocker: false,
  run,
};

interface Measured {
  readonly contender: Contender;
  readonly results: RoundResult[];
}

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const plan = quick ? QUICK : FULL;
  const load: Load = { jobs: plan.jobs, runners: RUNNERS, producers: PRODUCERS };
  const folder = await mkdtemp(join(tmpdir(), "shipfox-bench-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const syncsPerSecond = measureSyncs(join(folder, "sync-probe"));

  const planeFolder = join(folder, "shipfox");
  await mkdir(planeFolder);
  const shipfox: Measured = { contender: await startShipfox(planeFolder, load, resources), results: [] };
  const lean: Measured = { contender: await startLean(folder, load, resources), results: [] };
  const naive: Measured = { contender: await startNaive(folder, load, resources), results: [] };
  const all = [shipfox, lean, naive];

  for (let round = 0; round < plan.warmUpRounds; round += 1) {
    for (const { contender } of all) {
      stop.throwIfAborted();
      const { jobsPerSecond: speed } = await runRound(contender, load);
      say(`warm-up ${round + 1} of ${plan.warmUpRounds}: ${contender.name} ${speed.toFixed(0)} jobs/s`);
    }
  }
  for (let round = 0; round < plan.rounds; round += 1) {
    for (const { contender, results } of rotated(all, round)) {
      stop.throwIfAborted();
      const result = await runRound(contender, load);
      results.push(result);
      say(`round ${round + 1} of ${plan.rounds}: ${contender.name} ${result.jobsPerSecond.toFixed(0)} jobs/s`);
    }
  }
  return report({ shipfox, lean, naive, plan, syncsPerSecond });
}

function report(measured: {
  shipfox: Measured;
  lean: Measured;
  naive: Measured;
  plan: typeof FULL;
  syncsPerSecond: number;
}): BenchReport {
  const { shipfox, lean, naive, plan } = measured;
  const ofLean = ratios(speeds(shipfox), speeds(lean));
  const ofNaive = ratios(speeds(shipfox), speeds(naive));
  const row = (contender: Measured) => [
    contender.contender.name,
    spread(speeds(contender), 0),
    spread(ratios(speeds(shipfox), speeds(contender)), 2),
    median(contender.results.map((result) => result.serverMs)).toFixed(3),
    median(contender.results.map((result) => result.clientMs)).toFixed(3),
  ];
  return {
    tables: [
      {
        header: ["server", "jobs/s, median (min–max)", "Shipfox ÷ this", "server CPU ms/job", "client CPU ms/job"],
        rows: [row(shipfox), row(lean), row(naive)],
      },
    ],
    aims: [
      { what: "Shipfox ÷ lean ceiling", measured: median(ofLean), bound: { atLeast: AIM_OF_LEAN } },
      { what: "Shipfox ÷ naive Express", measured: median(ofNaive), bound: { atLeast: AIM_OF_NAIVE } },
    ],
    notes: [
      `${plan.rounds} rounds of ${plan.jobs} jobs each; ratios are taken round by round, then their median.`,
      "Where the time goes, and why an aim is missed: docs/performance.md.",
      `fdatasync of a 4 KiB append on the same disk, before the rounds: ${measured.syncsPerSecond.toFixed(0)} per second.`,
      "Client and server share the processors, so a server that costs the client more requests is also slowed by them.",
    ],
  };
}

function speeds({ results }: Measured): number[] {
  return results.map((result) => result.jobsPerSecond);
}

/** What the disk allows without group commit. */
function measureSyncs(file: string): number {
  const handle = openSync(file, "a");
  try {
    const block = Buffer.alloc(SYNC_PROBE_BYTES, 1);
    const startedAt = performance.now();
    for (let probe = 0; probe < SYNC_PROBES; probe += 1) {
      writeSync(handle, block);
      fdatasyncSync(handle);
    }
    return (SYNC_PROBES * 1000) / (performance.now() - startedAt);
  } finally {
    closeSync(handle);
  }
}
