import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findFreePort, isFree } from "./ports.ts";
import { removeSandboxes } from "./sandbox-leftovers.ts";
import { Service } from "./service.ts";

const PLANE_START_LIMIT_MS = 60_000;
const POLL_MS = 200;
const REQUEST_TIMEOUT_MS = 5_000;
/** The first signal lets the running job be handed back, the second kills it. */
const RUNNER_STOP_MS = [2_000, 20_000];
const PLANE_STOP_MS = [15_000];

type Environment = Record<string, string | undefined>;

export interface LocalPlaneOptions {
  /** Empty; everything lies in it. Its owner removes it after `close`. */
  readonly folder: string;
  /** The path of one of our programs by its name. */
  readonly programOf: (name: string) => string;
  readonly say: (line: string) => void;
  /** Ends all waiting. */
  readonly stop: AbortSignal;
}

/** A control plane and a runner of a few minutes on this machine, both on loopback. `close` ends all of it, after whatever happened. */
export class LocalPlane {
  readonly #options: LocalPlaneOptions;
  readonly #services: Service[] = [];

  constructor(options: LocalPlaneOptions) {
    this.#options = options;
  }

  get runnerStateDir(): string {
    return join(this.#options.folder, "runner");
  }

  /** Starts the control plane and resolves with its address. Without a `port` it takes any. */
  async startControlPlane(port: number | null, env: Environment): Promise<string> {
    let candidate = port ?? (await findFreePort());
    for (;;) {
      const plane = this.#start("control-plane", {
        ...env,
        HOST: "127.0.0.1",
        PORT: String(candidate),
        SHIPFOX_PUBLIC_URL: undefined,
        SHIPFOX_DATA_DIR: join(this.#options.folder, "data"),
      });
      const url = `http://localhost:${candidate}`;
      const isReady = () =>
        fetch(`${url}/readyz`, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) }).then(
          (reply) => reply.ok,
          () => false,
        );
      if (await this.#awaitUntil(isReady, plane, PLANE_START_LIMIT_MS)) return url;
      // Another process was quicker between our look and the plane's.
      const lostRace = !plane.isRunning && port === null && !(await isFree(candidate));
      if (!lostRace) throw failure(plane, `is not ready within ${PLANE_START_LIMIT_MS / 1000} s`);
      this.#services.pop();
      candidate = await findFreePort();
    }
  }

  /** Starts the runner and resolves when `isOnline` says so; what it complains of meanwhile is said. */
  async startRunner(env: Environment, isOnline: () => Promise<boolean>, limitMs: number): Promise<Service> {
    const runner = this.#start("runner", {
      ...env,
      SHIPFOX_RUNNER_STATE_DIR: this.runnerStateDir,
      SHIPFOX_RUNNER_WORK_DIR: undefined,
      SHIPFOX_RUNNER_DRAIN_TIMEOUT_MS: "0",
    });
    let complaint: string | null = null;
    const isThere = async () => {
      const latest = runner.lastError();
      if (latest !== null && latest !== complaint) this.#options.say(`the runner: ${latest}`);
      complaint = latest;
      return await isOnline();
    };
    if (await this.#awaitUntil(isThere, runner, limitMs)) return runner;
    throw failure(runner, `is not online within ${limitMs / 1000} s`);
  }

  /** Resolves with what `work` resolves with; rejects when one of the two ends before. */
  async whileServing<Result>(work: Promise<Result>): Promise<Result> {
    const ends = this.#services.map(async (service) => {
      const how = await service.ended;
      // When everything is being stopped, that is the reason.
      this.#options.stop.throwIfAborted();
      throw failure(service, `ended while it was needed (${how})`);
    });
    return await Promise.race([work, ...ends]);
  }

  /** What they said last, for a failure after which their folder goes away. */
  tails(): string {
    return this.#services.map((service) => `--- ${service.name} ---\n${service.tail()}`).join("\n");
  }

  /** Ends both, the runner first so that it can still tell the control plane; `hurry` ends all patience. Rejects when something is left. */
  async close(hurry: AbortSignal): Promise<void> {
    const faults: unknown[] = [];
    const attempt = (work: Promise<void>) => work.catch((error: unknown) => void faults.push(error));
    for (const service of this.#services.toReversed()) {
      await attempt(service.stop(service.name === "runner" ? RUNNER_STOP_MS : PLANE_STOP_MS, hurry));
    }
    await attempt(removeSandboxes(this.runnerStateDir));
    if (faults.length > 0) throw new AggregateError(faults, faults.map((fault) => (fault as Error).message).join("; "));
  }

  #start(name: "control-plane" | "runner", env: Environment): Service {
    const { folder, programOf } = this.#options;
    const logFile = join(folder, `${name}.log`);
    const service = new Service({ name, command: programOf(`shipfox-${name}`), env, cwd: folder, logFile });
    this.#services.push(service);
    return service;
  }

  /** False when the time is over or the service ended. */
  async #awaitUntil(isDone: () => Promise<boolean>, service: Service, limitMs: number): Promise<boolean> {
    const { stop } = this.#options;
    const giveUpAt = performance.now() + limitMs;
    while (service.isRunning && performance.now() < giveUpAt) {
      stop.throwIfAborted();
      if (await isDone()) return true;
      await sleep(POLL_MS, undefined, { signal: stop });
    }
    return false;
  }
}

function failure(service: Service, what: string): Error {
  return new Error(`the ${service.name} ${service.isRunning ? what : "ended"}`);
}
