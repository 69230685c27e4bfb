import type { Duplex } from "node:stream";
import type { ServiceConfig } from "@shipfox/shared/machine";
import type { Lifeline } from "../lifelines.ts";
import { SandboxError } from "../sandbox-error.ts";
import type { DockerSettings } from "./docker-options.ts";
import { type Engine, pause } from "./engine.ts";
import { readFrames } from "./exec-stream.ts";
import type { JobImage } from "./images.ts";
import { OutputTail } from "./output-tail.ts";
import type { Place, Places } from "./place.ts";
import { runExec } from "./run-exec.ts";
import { type HealthPlan, planHealth } from "./service-health.ts";
import { serviceOptions } from "./service-options.ts";

const MAX_LOG_BYTES = 64 * 1024;
const SHOWN_LINES = 10;
/** How long a service without a check must have run. */
const SETTLE_MS = 500;
/** The exit code arrives a moment after the last output, or never when the container was removed by then. */
const EXIT_NEWS_MS = 1_000;
/** What the service's own image or command is to blame for. */
const FAULTS_OF_SERVICE: ReadonlySet<string> = new Set(["start_failed", "image_unavailable"]);

/** One container beside the steps of a job, and the holder whose network and end it shares. */
export class Service {
  readonly name: string;
  readonly #engine: Engine;
  readonly #settings: DockerSettings;
  readonly #config: ServiceConfig;
  readonly #image: JobImage;
  readonly #log = new OutputTail(MAX_LOG_BYTES);
  #holder: { id: string; lifeline: Lifeline } | null = null;
  #containerId: string | null = null;
  #starting: Promise<void> | null = null;
  #end: string | null = null;
  readonly #ended = Promise.withResolvers<void>();
  #isPaused = false;

  constructor(engine: Engine, settings: DockerSettings, config: ServiceConfig, image: JobImage) {
    this.name = config.name;
    this.#engine = engine;
    this.#settings = settings;
    this.#config = config;
    this.#image = image;
  }

  get config(): ServiceConfig {
    return this.#config;
  }

  /** Resolves when it is started. What was made is removed by `remove`, also after a failure. */
  async start(places: Places, place: Place, executionId: string): Promise<void> {
    this.#starting = this.#start(places, place, executionId);
    await this.#starting;
  }

  async #start(places: Places, place: Place, executionId: string): Promise<void> {
    this.#holder = await places.addHolder(place, this.name);
    try {
      this.#containerId = await this.#engine.createContainer(
        serviceOptions({
          settings: this.#settings,
          owner: { runnerId: this.#settings.runnerId, placeId: place.id, executionId },
          imageId: this.#image.id,
          holderId: this.#holder.id,
          service: this.#config,
        }),
      );
      // Both before the start: a service may end at once.
      const output = await this.#engine.attachOutput(this.#containerId);
      const exit = this.#engine.nextExit(this.#containerId).catch(() => null);
      void this.#watch(this.#containerId, output, exit);
      await this.#engine.startContainer(this.#containerId);
    } catch (error) {
      if (!(error instanceof SandboxError) || !FAULTS_OF_SERVICE.has(error.reason)) throw error;
      throw new SandboxError("service_failed", `The service ${this.name} cannot be started: ${error.message}`, {
        cause: error,
      });
    }
  }

  /** Resolves when it is healthy; rejects with `service_failed` when it ended or is not, and when `signal` is aborted. */
  async ready(signal: AbortSignal): Promise<void> {
    const health = planHealth(this.#config.health, this.#image.healthcheck);
    if (health === null) {
      await pause(SETTLE_MS);
      return this.requireAlive();
    }
    const startedAt = performance.now();
    let failures = 0;
    for (;;) {
      this.requireAlive();
      const fault = await this.#check(health);
      if (fault === null) return;
      this.requireAlive();
      if (performance.now() - startedAt >= health.startPeriodMs) failures += 1;
      if (failures >= health.retries)
        throw this.#failure(`is unhealthy: ${failures} checks failed, the last: ${fault}`);
      if (signal.aborted) throw this.#failure(`is not healthy in time; the last check: ${fault}`);
      await pause(health.intervalMs);
    }
  }

  requireAlive(): void {
    if (this.#end !== null) throw this.#failure(this.#end);
  }

  /** Rejects with `service_failed` when it ends; never resolves. */
  async failsWhenEnded(): Promise<never> {
    await this.#ended.promise;
    throw this.#failure(this.#end ?? "ended");
  }

  /** What it printed since the last call, at most 64 KiB. */
  takeLog(): string[] {
    return this.#log.take();
  }

  async pause(): Promise<void> {
    if (this.#containerId === null || this.#end !== null) return;
    await this.#engine.pauseContainer(this.#containerId);
    this.#isPaused = true;
  }

  async resume(): Promise<void> {
    if (this.#containerId === null || !this.#isPaused) return;
    await this.#engine.unpauseContainer(this.#containerId);
    this.#isPaused = false;
  }

  async remove(): Promise<void> {
    // What is being made must not appear after it was removed.
    await this.#starting?.catch(() => {});
    this.#holder?.lifeline.release();
    if (this.#containerId !== null) await this.#engine.removeContainer(this.#containerId);
    if (this.#holder !== null) await this.#engine.removeContainer(this.#holder.id);
    this.#containerId = null;
    this.#holder = null;
  }

  /** Null when it passed, else what it said. */
  async #check(health: HealthPlan): Promise<string | null> {
    try {
      const command = [...health.command];
      const result = await runExec(this.#engine, this.#containerId ?? "", command, "", health.timeoutMs);
      return result.exitCode === 0 ? null : `exit code ${result.exitCode} ${result.output}`.trim();
    } catch (error) {
      if (error instanceof SandboxError && error.reason === "docker_unavailable") throw error;
      return (error as Error).message;
    }
  }

  async #watch(containerId: string, output: Duplex, exit: Promise<number | null>): Promise<void> {
    try {
      for await (const { chunk } of readFrames(output)) this.#log.push(chunk);
      // A service that closed its output may live on.
      const isRunning = (await this.#engine.inspectContainer(containerId))?.State.Running ?? false;
      const exitCode = await (isRunning ? exit : Promise.race([exit, pause(EXIT_NEWS_MS).then(() => null)]));
      if (this.#containerId === null) return;
      this.#end = exitCode === null ? "ended" : `ended with exit code ${exitCode}`;
      this.#log.push(Buffer.from(`The service ${this.#end}.\n`));
      this.#ended.resolve();
    } catch {
      // The connection broke off; whether the service lives, its check and its ports tell.
    }
  }

  #failure(what: string): SandboxError {
    const lines = this.#log.last(SHOWN_LINES);
    const shown = lines.length === 0 ? "It printed nothing." : `It printed last:\n${lines.join("\n")}`;
    return new SandboxError("service_failed", `The service ${this.name} ${what}. ${shown}`);
  }
}
