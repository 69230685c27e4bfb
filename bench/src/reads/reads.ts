import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { encodeLogRecord } from "@shipfox/shared/log-records";
import type { Aim, Bench, BenchContext, BenchReport } from "../bench.ts";
import { type ControlPlane, createDefinition, createRegistrationToken } from "../control-plane.ts";
import { JsonClient } from "../json-client.ts";
import { type Append, claimJob, fire, reportDone, startShipfox, workflow } from "../log-ingest/contenders.ts";
import { RawClient } from "../raw-client.ts";
import { awaitReady, freePort, startProcess } from "../server-process.ts";
import { openFolder } from "../stage.ts";
import { median, quantile, ratios, rotated, spread } from "../statistics.ts";
import { copyRun, idOfCopy } from "./many-runs.ts";

const STREAMING_JOBS = 50;
/** Of each streaming job: 20 lines twice a second is a loud build. */
const APPEND_EVERY_MS = 500;
const SETTLE_MS = 1_000;
const LINES_OF_APPEND = 20;
const LINES_OF_LOG = 2_000;
const LINE_CHARS = 80;
/** Of the run whose detail and log are read. */
const JOBS = 5;
const STEPS = 6;
const CONNECTIONS = 8;
const AIM_OF_EXPRESS = 0.7;
const AIM_OF_IDLE = 3;
const FULL = { runs: 100_000, rounds: 7, warmUpRounds: 2, calls: 1_500, looks: 1_000 };
const QUICK = { runs: 5_000, rounds: 2, warmUpRounds: 1, calls: 100, looks: 50 };

export const reads: Bench = {
  name: "reads",
  title: "Reads",
  about: `The first page of a project's runs (50 of ${FULL.runs}, with their number), one run of ${JOBS} jobs with ${STEPS} steps each, and the
page of a log with ${LINES_OF_LOG} lines, by ${CONNECTIONS} clients over kept-alive connections, with an access token and the reader's rights checked each time.
The yardstick is a bare Express route for each that sends the same bytes. Rounds interleaved in rotating order. Then one
client reads one after another, while nothing else happens and while ${STREAMING_JOBS} jobs each append ${LINES_OF_APPEND} lines every ${APPEND_EVERY_MS} ms.`,
  needsDocker: false,
  run,
};

interface Read {
  readonly name: string;
  readonly path: string;
}

interface Side {
  readonly name: string;
  readonly connections: readonly RawClient[];
  readonly token: string;
}

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const plan = quick ? QUICK : FULL;
  const folder = await openFolder(resources);
  const shipfox = await startShipfox(folder, STREAMING_JOBS, resources);
  const { plane } = shipfox;
  say(`copying a run ${plan.runs} times`);
  const { runId: copied } = await finishedRun(plane, 1, 1);
  copyRun(join(folder, "data", "shipfox.db"), copied, plan.runs);
  const { runId, stepId } = await finishedRun(plane, JOBS, STEPS);
  const wanted: Read[] = [
    { name: "runs list", path: `/workflows/runs?project_id=${plane.projectId}` },
    { name: "run detail", path: `/workflows/runs/${runId}` },
    { name: "log page", path: `/steps/${stepId}/attempts/1/logs` },
  ];
  const ours = await openSide("Shipfox", plane.url, plane.token, resources);
  const express = await openSide(
    "bare Express",
    await startExpress(ours, wanted, folder, resources),
    "none",
    resources,
  );

  const rows: string[][] = [];
  const aims: Aim[] = [];
  for (const read of wanted) {
    const perSecond = await compare([ours, express], read, plan, { stop, say });
    const ratio = ratios(perSecond[0], perSecond[1]);
    rows.push([read.name, spread(perSecond[0], 0), spread(perSecond[1], 0), spread(ratio, 2)]);
    aims.push({ what: `${read.name} ÷ bare Express`, measured: median(ratio), bound: { atLeast: AIM_OF_EXPRESS } });
  }
  const looks: Look[] = wanted.map(({ name, path }) => ({ name, pathOf: () => path }));
  // Nothing of these was shown before.
  const others = {
    name: "another run each time",
    pathOf: (look: number) => `/workflows/runs/${idOfCopy(copied, look + 1)}`,
  };
  const tails = await measureTails(ours, [...looks, others], shipfox.logs, plan, { stop, say });
  for (const { name, idle, streaming } of tails.slice(0, wanted.length)) {
    const measured = quantile(streaming, 0.99) / quantile(idle, 0.99);
    aims.push({
      what: `${name}: p99 while ${STREAMING_JOBS} jobs stream ÷ idle`,
      measured,
      bound: { atMost: AIM_OF_IDLE },
    });
  }
  return {
    tables: [
      { header: ["reads a second", "Shipfox, median (min–max)", "bare Express", "Shipfox ÷ Express"], rows },
      {
        header: ["one after another, ms", "idle p50", "idle p99", "streaming p50", "streaming p99"],
        rows: tails.map(({ name, idle, streaming }) => [
          name,
          ...[idle, streaming].flatMap((times) => [0.5, 0.99].map((share) => quantile(times, share).toFixed(2))),
        ]),
      },
    ],
    aims,
    notes: [
      `${plan.runs} runs are stored. Clients and servers share the processors.`,
      "What was shown before and has not changed is sent as it is kept; another run each time is read and rendered.",
      "Rights are looked up again after each commit: none falls into the reads a second, one every few milliseconds into those while jobs stream.",
    ],
  };
}

/** A run that has ended, and the step whose log has some pages. */
async function finishedRun(
  plane: ControlPlane,
  jobs: number,
  steps: number,
): Promise<{ runId: string; stepId: string }> {
  const client = new JsonClient(plane.url, 1);
  const connection = await RawClient.open(plane.url);
  try {
    const definitionId = await createDefinition(client, plane, workflow(`Of ${jobs}`, jobs, steps));
    const registrationToken = await createRegistrationToken(client, plane);
    const runId = await fire(client, plane, definitionId);
    let stepId = "";
    for (let job = 0; job < jobs; job += 1) {
      let { next } = await reportDone(client, await claimJob(client, registrationToken));
      while (next?.kind === "step") {
        if (stepId === "") {
          stepId = next.step.id;
          const path = `/runs/jobs/current/steps/${stepId}/logs?attempt=${next.attempt}&offset=0`;
          await connection.post(path, next.lease_token, chunkOf(LINES_OF_LOG));
        }
        ({ next } = await reportDone(client, next));
      }
    }
    return { runId, stepId };
  } finally {
    connection.close();
    client.close();
  }
}

async function openSide(name: string, url: string, token: string, resources: AsyncDisposableStack): Promise<Side> {
  const open = async () => resources.adopt(await RawClient.open(url), (connection) => connection.close());
  return { name, connections: await Promise.all(Array.from({ length: CONNECTIONS }, open)), token };
}

/** Answers its address. */
async function startExpress(
  { connections, token }: Side,
  wanted: readonly Read[],
  folder: string,
  resources: AsyncDisposableStack,
): Promise<string> {
  const bodies: Record<string, string> = { "/ready": "{}" };
  for (const { path } of wanted) {
    const body = await (connections[0] as RawClient).get(path, token);
    bodies[new URL(path, "http://localhost").pathname] = Buffer.from(body, "latin1").toString("utf8");
  }
  const file = join(folder, "bodies.json");
  await writeFile(file, JSON.stringify(bodies));
  const port = await freePort();
  const program = fileURLToPath(import.meta.resolve("./express-server.ts"));
  const args = [program, String(port), file];
  // As servers run it; else it would say more on errors and cache less.
  const env = { NODE_ENV: "production" };
  const plan = {
    name: "the Express server",
    command: process.execPath,
    args,
    env,
    logFile: join(folder, "express.log"),
  };
  const server = startProcess(plan, resources);
  const url = `http://127.0.0.1:${port}`;
  await awaitReady(`${url}/ready`, server);
  return url;
}

/** Reads a second of both, by rounds. */
async function compare(
  sides: readonly [Side, Side],
  read: Read,
  plan: { rounds: number; warmUpRounds: number; calls: number },
  { stop, say }: Pick<BenchContext, "stop" | "say">,
): Promise<[number[], number[]]> {
  const perSecond: [number[], number[]] = [[], []];
  for (let round = -plan.warmUpRounds; round < plan.rounds; round += 1) {
    for (const side of rotated(sides, round + plan.warmUpRounds)) {
      stop.throwIfAborted();
      let left = plan.calls;
      const startedAt = performance.now();
      await Promise.all(
        side.connections.map(async (connection) => {
          for (; left > 0; left -= 1) await connection.get(read.path, side.token);
        }),
      );
      const seconds = (performance.now() - startedAt) / 1000;
      if (round >= 0) perSecond[sides.indexOf(side)]?.push(plan.calls / seconds);
    }
    const latest = sides.map(({ name }, index) => `${name} ${perSecond[index]?.at(-1)?.toFixed(0) ?? "warming up"}`);
    say(`${read.name}, round ${round + 1} of ${plan.rounds}, a second: ${latest.join(", ")}`);
  }
  return perSecond;
}

interface Look {
  readonly name: string;
  readonly pathOf: (look: number) => string;
}

interface Tail {
  readonly name: string;
  readonly idle: number[];
  readonly streaming: number[];
}

/** How long each read takes, in milliseconds: idle and with streaming jobs, in turns. */
async function measureTails(
  side: Side,
  looks: readonly Look[],
  logs: readonly Append[],
  plan: { rounds: number; looks: number },
  { stop, say }: Pick<BenchContext, "stop" | "say">,
): Promise<Tail[]> {
  const tails: Tail[] = looks.map(({ name }) => ({ name, idle: [], streaming: [] }));
  const chunk = chunkOf(LINES_OF_APPEND);
  let count = 0;
  for (let round = 0; round < plan.rounds; round += 1) {
    for (const kind of rotated(["idle", "streaming"] as const, round)) {
      const enough = new AbortController();
      const streams =
        kind === "idle" ? [] : logs.map((append, index) => streamLog(append, chunk, index, enough.signal));
      await sleep(SETTLE_MS);
      for (const [index, { pathOf }] of looks.entries()) {
        for (let look = 0; look < plan.looks / plan.rounds; look += 1) {
          stop.throwIfAborted();
          const path = pathOf(count);
          count += 1;
          const startedAt = performance.now();
          await (side.connections[0] as RawClient).get(path, side.token);
          tails[index]?.[kind].push(performance.now() - startedAt);
        }
      }
      enough.abort();
      await Promise.all(streams);
    }
    say(`one after another, round ${round + 1} of ${plan.rounds}`);
  }
  return tails;
}

/** Begins somewhere in the interval, as jobs do that know nothing of each other. */
async function streamLog(append: Append, chunk: Buffer, index: number, signal: AbortSignal): Promise<void> {
  await sleep((index * APPEND_EVERY_MS) / STREAMING_JOBS);
  while (!signal.aborted) {
    const next = sleep(APPEND_EVERY_MS);
    await append(chunk);
    await next;
  }
}

function chunkOf(lines: number): Buffer {
  const data = `${"a line of a build ".repeat(LINE_CHARS).slice(0, LINE_CHARS)}\n`;
  return Buffer.from(encodeLogRecord({ v: 1, ts: Date.now(), type: "output", stream: "stdout", data }).repeat(lines));
}
