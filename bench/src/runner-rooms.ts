import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type Docker from "dockerode";
import type { ContainerInfo } from "dockerode";
import type { Runner } from "./runner.ts";

const SETTLE_TIMEOUT_MS = 60_000;
/** Shells that wait for a step in a container that is warm; the runner starts at least so many ahead. */
const SHELLS_AHEAD = 2;
/** Labels of everything a runner makes in the engine. */
const LABEL_RUNNER = "shipfox.runner";
const LABEL_ROLE = "shipfox.role";

/** Wakes whoever waits for the engine to reach a state. */
export class EngineEvents {
  #wake = Promise.withResolvers<void>();

  static async open(docker: Docker, resources: AsyncDisposableStack): Promise<EngineEvents> {
    const events = new EngineEvents();
    const stream = (await docker.getEvents({ filters: { type: ["container", "network"] } })) as Readable;
    resources.defer(() => void stream.destroy());
    stream.on("error", () => {});
    createInterface({ input: stream }).on("line", () => events.#happened());
    return events;
  }

  /** Looks now and after every event until `holds`; rejects after a minute. */
  async until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`${what} did not happen in ${SETTLE_TIMEOUT_MS} ms`)),
      SETTLE_TIMEOUT_MS,
    );
    try {
      for (;;) {
        // Taken before the look, so that what happens during it is not missed.
        const next = this.#wake.promise;
        if (await holds()) return;
        await Promise.race([next, late.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #happened(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}

/** What one runner keeps in the engine, seen from outside by its labels. */
export class RunnerRooms {
  readonly #docker: Docker;
  readonly #events: EngineEvents;
  readonly #runner: Runner;
  #label: string | null = null;
  /** The container that the last job had, or will have. */
  #lastWarm: string | null = null;
  #lastHolder: string | null = null;

  constructor(docker: Docker, events: EngineEvents, runner: Runner) {
    this.#docker = docker;
    this.#events = events;
    this.#runner = runner;
  }

  /** Resolves when the one warm container is a new one, is ready for a step, and nothing is left of the last job. */
  async awaitWarm(): Promise<void> {
    await this.#until("a warm container", async () => {
      const { jobs, holders, networks } = await this.#rooms();
      const [job] = jobs;
      if (!job || jobs.length > 1 || holders.length > 1 || networks > 1 || job === this.#lastWarm) return false;
      const found = await this.#docker
        .getContainer(job)
        .inspect()
        .catch(() => null);
      if ((found?.ExecIDs?.length ?? 0) < SHELLS_AHEAD) return false;
      this.#lastWarm = job;
      return true;
    });
  }

  /** Resolves when nothing is left of the last job and the one place made ahead is a new one. */
  async awaitPlace(): Promise<void> {
    await this.#until("a new place without a container", async () => {
      const { jobs, holders, networks } = await this.#rooms();
      const [holder] = holders;
      if (!holder || jobs.length > 0 || holders.length > 1 || networks !== 1 || holder.Id === this.#lastHolder)
        return false;
      if (holder.State !== "running") return false;
      this.#lastHolder = holder.Id;
      return true;
    });
  }

  async #rooms(): Promise<{ jobs: string[]; holders: ContainerInfo[]; networks: number }> {
    this.#label ??= await this.#findLabel();
    if (this.#label === null) return { jobs: [], holders: [], networks: 0 };
    const filters = { label: [this.#label] };
    const [containers, networks] = await Promise.all([
      this.#docker.listContainers({ all: true, filters }),
      this.#docker.listNetworks({ filters }),
    ]);
    const jobs = containers.filter((container) => container.Labels[LABEL_ROLE] === "job").map(({ Id }) => Id);
    const holders = containers.filter(({ Id }) => !jobs.includes(Id));
    return { jobs, holders, networks: networks.length };
  }

  /** Null while the runner has not marked its state folder, and so has made nothing either. */
  async #findLabel(): Promise<string | null> {
    const file = join(this.#runner.stateFolder, "instance-id");
    const id = (await readFile(file, "utf8").catch(() => "")).trim();
    return id === "" ? null : `${LABEL_RUNNER}=${id}`;
  }

  async #until(what: string, holds: () => Promise<boolean>): Promise<void> {
    await this.#events.until(what, holds).catch(async (error: unknown) => {
      throw new Error(`The runner's log ends with:\n${await this.#runner.process.logTail()}`, { cause: error });
    });
  }
}
