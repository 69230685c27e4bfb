import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import type { Bench, BenchContext, BenchReport } from "../bench.ts";
import { startControlPlane } from "../control-plane.ts";
import { JsonClient } from "../json-client.ts";
import { awaitReady, freePort, startProcess } from "../server-process.ts";
import { median, ratios, rotated, spread } from "../statistics.ts";

const FULL = { rounds: 9, warmUpRounds: 2, logins: 200 };
const QUICK = { rounds: 2, warmUpRounds: 1, logins: 20 };
/** As many as the control plane has threads for passwords. */
const THREADS = Math.min(4, availableParallelism());
/** More clients, so that no thread waits for one whose session is being stored. */
const CLIENTS = 8 * THREADS;
const AIM = 0.8;
const NO_LIMITS = { SHIPFOX_LOGIN_LIMIT_PER_ADDRESS: "0", SHIPFOX_LOGIN_LIMIT_PER_EMAIL: "0" };
const ACCOUNT = { email: "bench@example.com", password: "a long enough password" };
const PEER = new URL("./argon2-server.ts", import.meta.url).pathname;

export const login: Bench = {
  name: "login",
  title: "Logins per second",
  about: `POST /auth/login with the right password by ${CLIENTS} clients over kept-alive connections: the password is verified, the
session and its entry in the audit log are stored durably, an access token is signed. The yardstick verifies the same password
with the same Argon2id parameters in a process that does nothing else, ${THREADS} at once in the threads of the library, without
HTTP and database. Rounds interleaved in rotating order.`,
  needsDocker: false,
  run,
};

interface Way {
  readonly name: string;
  /** Does so many. */
  readonly work: (logins: number) => Promise<unknown>;
  readonly perSecond: number[];
}

async function run({ quick, resources, stop, say }: BenchContext): Promise<BenchReport> {
  const { rounds, warmUpRounds, logins } = quick ? QUICK : FULL;
  const folder = await mkdtemp(join(tmpdir(), "shipfox-bench-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const ways = [await startShipfox(folder, resources), await startPeer(folder, resources)] as const;
  for (let round = -warmUpRounds; round < rounds; round += 1) {
    for (const way of rotated(ways, round + warmUpRounds)) {
      stop.throwIfAborted();
      const startedAt = performance.now();
      await way.work(logins);
      const perSecond = (logins * 1_000) / (performance.now() - startedAt);
      if (round >= 0) way.perSecond.push(perSecond);
    }
    const latest = ways.map(({ name, perSecond }) => `${name} ${perSecond.at(-1)?.toFixed(1) ?? "warming up"}`);
    say(`round ${round + 1} of ${rounds}, per second: ${latest.join(", ")}`);
  }
  return report(ways);
}

async function startShipfox(folder: string, resources: AsyncDisposableStack): Promise<Way> {
  const { url } = await startControlPlane(folder, resources, { settings: NO_LIMITS });
  const client = new JsonClient(url, CLIENTS);
  resources.defer(() => client.close());
  const work = (logins: number) => atOnce(logins, CLIENTS, () => client.call("POST", "/auth/login", { body: ACCOUNT }));
  return { name: "Shipfox", work, perSecond: [] };
}

async function startPeer(folder: string, resources: AsyncDisposableStack): Promise<Way> {
  const port = await freePort();
  const env = { PORT: String(port), PASSWORD: ACCOUNT.password, THREADS: String(THREADS) };
  const logFile = join(folder, "argon2.log");
  const plan = { name: "bare argon2id", command: process.execPath, args: [PEER], env, logFile };
  const server = startProcess(plan, resources);
  const url = `http://127.0.0.1:${port}`;
  await awaitReady(`${url}/?verifications=1`, server);
  const client = new JsonClient(url, 1);
  resources.defer(() => client.close());
  const work = (logins: number) => client.call("GET", `/?verifications=${logins}`);
  return { name: "bare argon2id", work, perSecond: [] };
}

/** Runs `task` so many times, `width` at once. */
async function atOnce(times: number, width: number, task: () => Promise<unknown>): Promise<void> {
  let left = times;
  const one = async () => {
    while (left > 0) {
      left -= 1;
      await task();
    }
  };
  await Promise.all(Array.from({ length: width }, one));
}

function report([ours, bare]: readonly [Way, Way]): BenchReport {
  const ratio = ratios(ours.perSecond, bare.perSecond);
  return {
    tables: [
      {
        header: ["", "rounds", "per second", "÷ bare argon2id"],
        rows: [
          [ours.name, String(ours.perSecond.length), spread(ours.perSecond, 1), spread(ratio, 2)],
          [bare.name, String(bare.perSecond.length), spread(bare.perSecond, 1), "1.00"],
        ],
      },
    ],
    aims: [
      { what: "logins ÷ bare argon2id at the same parallelism", measured: median(ratio), bound: { atLeast: AIM } },
    ],
    notes: ["Argon2id with 19 MiB, 2 passes, 1 lane. A round's ratio is of the two figures of that round."],
  };
}
