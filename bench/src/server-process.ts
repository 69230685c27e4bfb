import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";

const READY_TIMEOUT_MS = 120_000;
const READY_POLL_MS = 25;
const PROBE_TIMEOUT_MS = 1_000;
const KILL_AFTER_MS = 20_000;
const QUOTED_LOG_CHARS = 2_000;

export interface ServerProcess {
  readonly pid: number;
  /** What it printed so far, its end. */
  logTail(): Promise<string>;
}

export interface ProcessPlan {
  readonly name: string;
  readonly command: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly logFile: string;
}

/** Starts a process whose life ends with `resources`: SIGTERM, and SIGKILL when it does not stop. */
export function startProcess(plan: ProcessPlan, resources: AsyncDisposableStack): ServerProcess {
  const child = execa(plan.command, plan.args ?? [], {
    env: plan.env ?? {},
    stdin: "ignore",
    stdout: { file: plan.logFile, append: true },
    stderr: { file: plan.logFile, append: true },
    reject: false,
    forceKillAfterDelay: KILL_AFTER_MS,
  });
  const { pid } = child;
  if (pid === undefined) throw new Error(`${plan.name} could not be started: ${plan.command}`);
  resources.defer(async () => {
    child.kill("SIGTERM");
    await child;
  });
  return { pid, logTail: async () => (await readFile(plan.logFile, "utf8")).slice(-QUOTED_LOG_CHARS) };
}

/** Resolves when `url` answers with 200; rejects with the end of the log when it does not in time. */
export async function awaitReady(url: string, server: ServerProcess): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) }).catch(() => null);
    await answer?.body?.cancel();
    if (answer?.status === 200) return;
    await sleep(READY_POLL_MS);
  }
  throw new Error(`${url} did not answer in ${READY_TIMEOUT_MS} ms. Its log ends with:\n${await server.logTail()}`);
}

/** A port of the loopback that was free just now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  await new Promise((closed) => server.close(closed));
  if (address === null || typeof address === "string") throw new Error("the loopback gave no port");
  return address.port;
}

const CLOCK_TICK_MS = 10;

/** Processor time that a process has used so far, in milliseconds; null where /proc does not tell. */
export async function processorMs(pid: number): Promise<number | null> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  if (stat === null) return null;
  // The second field is the name in brackets and may hold blanks; user and system time are the 12th and 13th behind it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
}
