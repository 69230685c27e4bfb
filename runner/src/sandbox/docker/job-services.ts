import { SandboxError } from "../sandbox-error.ts";
import type { ServiceLog } from "../sandbox.ts";
import type { DockerSettings } from "./docker-options.ts";
import type { Engine } from "./engine.ts";
import { rejectOnAbort } from "./engine.ts";
import { type Place, type Places, cleanUpFault } from "./place.ts";
import { runExec } from "./run-exec.ts";
import type { Service } from "./service.ts";

const PORT_POLL_SECONDS = 0.2;
const SECOND_MS = 1_000;

export interface ServicesStart {
  places: Places;
  place: Place;
  executionId: string;
  report: (line: string) => void;
  signal: AbortSignal;
}

/** The services of one job: all started at once, waited for together, removed together. */
export class JobServices {
  readonly #engine: Engine;
  readonly #settings: DockerSettings;
  readonly #services: readonly Service[];

  constructor(engine: Engine, settings: DockerSettings, services: readonly Service[]) {
    this.#engine = engine;
    this.#settings = settings;
    this.#services = services;
  }

  /**
   * Resolves when all of them are healthy and their ports answer. Rejects with `service_failed` when one is not, in the time
   * that the operator gives them.
   */
  async start({ places, place, executionId, report, signal }: ServicesStart): Promise<void> {
    const startedAt = performance.now();
    report(`Starting services: ${this.#services.map(({ name }) => name).join(", ")}`);
    const late = AbortSignal.timeout(this.#settings.serviceStartMs);
    const stop = AbortSignal.any([late, signal]);
    const each = this.#services.map(async (service) => {
      await service.start(places, place, executionId);
      await service.ready(stop);
    });
    // The first failure counts; what the others still do ends with their removal.
    for (const work of each) work.catch(() => {});
    const ended = this.#services.map(async (service) => await service.failsWhenEnded());
    for (const end of ended) end.catch(() => {});
    await Promise.race([Promise.all(each), rejectOnAbort(signal)]);
    await Promise.race([this.#awaitPorts(place, report, startedAt), rejectOnAbort(signal), ...ended]);
    report(`Services are ready after ${Math.round(performance.now() - startedAt)} ms`);
  }

  takeLogs(): ServiceLog[] {
    return this.#services.map((service) => ({ name: service.name, lines: service.takeLog() }));
  }

  /** Those that ended are left as they are. */
  async pause(): Promise<void> {
    await Promise.all(this.#services.map(async (service) => await service.pause()));
  }

  async resume(): Promise<void> {
    await Promise.all(this.#services.map(async (service) => await service.resume()));
  }

  /** Rejects with `clean_up_failed` when something is left; may be repeated. */
  async remove(): Promise<void> {
    const results = await Promise.allSettled(this.#services.map(async (service) => await service.remove()));
    const faults = results.filter((result) => result.status === "rejected").map(({ reason }) => reason as unknown);
    if (faults.length > 0) throw cleanUpFault(faults);
  }

  /** From the place of the steps, by the names that they use: what answers here answers them. */
  async #awaitPorts(place: Place, report: (line: string) => void, startedAt: number): Promise<void> {
    const wanted = this.#services.flatMap(({ name, config }) => (config.ports ?? []).map((port) => `${name}/${port}`));
    if (wanted.length === 0 || place.network === null) return;
    report(`Waiting for ${wanted.join(", ")} to accept connections`);
    const spentMs = Math.ceil(performance.now() - startedAt);
    const leftMs = Math.max(SECOND_MS, this.#settings.serviceStartMs - spentMs);
    const command = ["bash", "-c", portsText(wanted, Math.ceil(leftMs / SECOND_MS))];
    const result = await runExec(this.#engine, place.network.holderId, command, "", leftMs + 2 * SECOND_MS).catch(
      (error: unknown) => {
        // The runner's image has no bash.
        if (error instanceof SandboxError && error.reason === "start_failed") return null;
        throw error;
      },
    );
    if (result === null || result.exitCode > 1) return report("Ports are not checked: the runner's image has no bash.");
    for (const service of this.#services) service.requireAlive();
    if (result.exitCode === 0) return;
    const message = `Nothing accepts connections on ${result.output || wanted.join(", ")} after ${Math.round(leftMs / SECOND_MS)} s. Does the service listen on all addresses?`;
    throw new SandboxError("service_failed", message);
  }
}

function portsText(wanted: readonly string[], seconds: number): string {
  return [
    `for target in ${wanted.join(" ")}; do`,
    `  until (exec 3<>"/dev/tcp/$target") 2>/dev/null; do`,
    `    if [ "$SECONDS" -ge ${seconds} ]; then echo "$target"; exit 1; fi`,
    `    sleep ${PORT_POLL_SECONDS}`,
    "  done",
    "done",
  ].join("\n");
}
