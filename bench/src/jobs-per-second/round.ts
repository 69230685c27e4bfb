import { randomUUID } from "node:crypto";
import { processorMs } from "../server-process.ts";

const ROUND_TIMEOUT_MS = 180_000;

/** A server under load, seen from the one client process. */
export interface Contender {
  readonly name: string;
  readonly pid: number;
  /** Puts one no-op job into the queue; resolves when that is acknowledged. */
  enqueue(): Promise<void>;
  /** Called when every job is claimed: answers the runners that wait, whose last finish may not be acknowledged yet. */
  release?(round: Round): Promise<void>;
  /** Claims and finishes jobs as runner number `index` until the round is over. */
  work(index: number, round: Round): Promise<void>;
}

/** Counts what happened to the jobs of one round. */
export class Round {
  readonly id = randomUUID();
  readonly #jobs: number;
  readonly #over = new AbortController();
  readonly #allClaimed = Promise.withResolvers<void>();
  #claimed = 0;
  #finished = 0;

  constructor(jobs: number) {
    this.#jobs = jobs;
  }

  /** Aborts when every job is finished: for claims that still wait. */
  get over(): AbortSignal {
    return this.#over.signal;
  }

  /** Resolves when no job is left to be claimed. */
  get allClaimed(): Promise<void> {
    return this.#allClaimed.promise;
  }

  claimed(): void {
    this.#claimed += 1;
    if (this.#claimed > this.#jobs) throw new Error("more jobs were claimed than enqueued");
    if (this.#claimed === this.#jobs) this.#allClaimed.resolve();
  }

  /** Its finish was acknowledged. */
  finished(): void {
    this.#finished += 1;
    if (this.#finished === this.#jobs) this.#over.abort();
  }
}

export interface Load {
  readonly jobs: number;
  readonly runners: number;
  /** Enqueue requests under way at once. */
  readonly producers: number;
}

export interface RoundResult {
  readonly jobsPerSecond: number;
  /** Processor time of the server and of the client, per job. */
  readonly serverMs: number;
  readonly clientMs: number;
}

/** One round: `jobs` are enqueued while the runners work; ends with the last acknowledged finish. */
export async function runRound(contender: Contender, load: Load): Promise<RoundResult> {
  const round = new Round(load.jobs);
  const serverBefore = await processorMs(contender.pid);
  const clientBefore = process.cpuUsage();
  const startedAt = performance.now();
  let seconds = 0;
  round.over.addEventListener("abort", () => (seconds = (performance.now() - startedAt) / 1000), { once: true });
  const runners = Array.from({ length: load.runners }, (_, index) => contender.work(index, round));
  const released = round.allClaimed.then(() => contender.release?.(round));
  await withDeadline(Promise.all([produce(contender, load), ...runners, released]), contender.name);
  const client = process.cpuUsage(clientBefore);
  const serverAfter = await processorMs(contender.pid);
  return {
    jobsPerSecond: load.jobs / seconds,
    serverMs: serverBefore === null || serverAfter === null ? Number.NaN : (serverAfter - serverBefore) / load.jobs,
    clientMs: (client.user + client.system) / 1000 / load.jobs,
  };
}

async function produce(contender: Contender, { jobs, producers }: Load): Promise<void> {
  let left = jobs;
  const enqueueAll = async () => {
    while (left > 0) {
      left -= 1;
      await contender.enqueue();
    }
  };
  await Promise.all(Array.from({ length: producers }, enqueueAll));
}

async function withDeadline<T>(work: Promise<T>, name: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`a round of ${name} was not over in ${ROUND_TIMEOUT_MS} ms`)),
    ROUND_TIMEOUT_MS,
  );
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
