import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { parseImageReference } from "@shipfox/shared/image-reference";
import { SandboxError, hostFault } from "../sandbox-error.ts";
import type { Sandbox, SandboxCapabilities, SandboxJob, SandboxProvider } from "../sandbox.ts";
import { CleanUps } from "./clean-ups.ts";
import { LABEL_RUNNER, probeOptions } from "./container-options.ts";
import { type DockerOptionsInput, type DockerSettings, dockerSettings } from "./docker-options.ts";
import { DockerSandbox } from "./docker-sandbox.ts";
import { Engine } from "./engine.ts";
import { ImageGarbage } from "./image-garbage.ts";
import { Images } from "./images.ts";
import { JobRooms } from "./job-rooms.ts";
import { NetworkBarriers } from "./network-barriers.ts";
import { Places, cleanUpFault } from "./place.ts";

/** Runs jobs in containers of a Docker Engine (or what speaks its API) on this machine. */
export class DockerProvider implements SandboxProvider {
  capabilities: SandboxCapabilities;
  readonly #settings: DockerSettings;
  readonly #engine: Engine;
  readonly #images: Images;
  readonly #barriers: NetworkBarriers;
  readonly #places: Places;
  readonly #rooms: JobRooms;
  readonly #garbage: ImageGarbage | null;
  /** Where the engine keeps images and layers; of an engine elsewhere, no folder of this machine. */
  #dataFolder: string | null = null;
  #isPrepared = false;

  /** Throws a sentence for people on an option that cannot be used. */
  constructor(options: DockerOptionsInput) {
    this.#settings = dockerSettings(options);
    this.capabilities = { sandbox: "docker", image: true, services: this.#settings.egress !== "none", network: true };
    this.#engine = new Engine(this.#settings.dockerHost);
    this.#images = new Images(this.#engine, this.#settings);
    this.#garbage = this.#makeGarbage();
    this.#barriers = new NetworkBarriers(this.#engine, this.#settings);
    const cleanUps = new CleanUps(this.#settings.logger);
    this.#places = new Places(this.#engine, this.#settings, this.#barriers, cleanUps);
    this.#rooms = new JobRooms(this.#engine, this.#settings, this.#images, this.#places, cleanUps);
  }

  async prepare(): Promise<void> {
    await this.#engine.ping();
    // Its name server for a job's network is an address of the host, which jobs may not reach.
    if (await this.#engine.isPodman()) this.capabilities = { ...this.capabilities, services: false };
    const { Runtimes, DockerRootDir } = await this.#engine.info();
    this.#dataFolder = DockerRootDir || null;
    this.#checkRuntime(Object.keys(Runtimes ?? {}));
    await this.#makeWorkRoot();
    await this.#removeContainersAndNetworks();
    await this.#barriers.prepare();
    const image = await this.#images.ensure(this.#settings.defaultImage);
    await this.#removeFolders(image.id);
    this.#rooms.limitsLayers = await this.#canLimitLayers(image.id);
    this.#isPrepared = true;
    this.#rooms.fillPool();
    this.#garbage?.start();
  }

  /** Resolves when the warm pool has what it could get: for benchmarks and for a runner that wants to be quick at once. */
  async warmedUp(): Promise<void> {
    await this.#rooms.poolSettled();
  }

  create(job: SandboxJob): Sandbox {
    return new DockerSandbox(this.#rooms, job);
  }

  diskPaths(): string[] {
    const { workRoot } = this.#settings;
    return this.#dataFolder === null ? [workRoot] : [workRoot, this.#dataFolder];
  }

  describeIsolation(): string[] {
    const root =
      this.#settings.user.uid === 0 ? ["Steps run as root in their containers: the runner's user is root."] : [];
    return [...root, ...this.#barriers.gaps];
  }

  describePool(): { ready: number; wanted: number } {
    return this.#rooms.describePool();
  }

  async close(): Promise<void> {
    this.#garbage?.stop();
    await this.#rooms.closePool();
    // What could not be removed after its job, because the engine was away at that moment.
    if (this.#isPrepared) await this.#removeContainersAndNetworks();
    await this.#barriers.close();
  }

  #checkRuntime(known: readonly string[]): void {
    const { runtime } = this.#settings;
    if (runtime === null || known.includes(runtime)) return;
    const message = `The engine has no runtime "${runtime}" (SHIPFOX_RUNNER_RUNTIME); it has ${known.join(", ")}. Install it and name it in the engine's configuration.`;
    throw new SandboxError("not_supported", message);
  }

  /** Few file systems can; only trying tells. */
  async #canLimitLayers(imageId: string): Promise<boolean> {
    const { diskLimitBytes, runnerId } = this.#settings;
    if (diskLimitBytes === null) return false;
    const owner = { runnerId, placeId: "probe", executionId: null };
    try {
      await this.#engine.removeContainer(
        await this.#engine.createContainer(probeOptions(owner, imageId, diskLimitBytes)),
      );
      return true;
    } catch {
      return false;
    }
  }

  #makeGarbage(): ImageGarbage | null {
    const { imageRecordFile, imageGarbage, defaultImage, logger } = this.#settings;
    if (imageRecordFile === null) return null;
    const garbage = new ImageGarbage({
      engine: this.#engine,
      recordFile: imageRecordFile,
      rules: imageGarbage,
      defaultImage: parseImageReference(defaultImage).full,
      logger,
    });
    this.#images.onUse = (reference) => garbage.touch(reference);
    return garbage;
  }

  async #makeWorkRoot(): Promise<void> {
    try {
      await mkdir(this.#settings.workRoot, { recursive: true, mode: 0o700 });
      await mkdir(this.#places.folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw hostFault(`cannot make the work folder ${this.#settings.workRoot}`, error);
    }
  }

  async #removeContainersAndNetworks(): Promise<void> {
    const label = `${LABEL_RUNNER}=${this.#settings.runnerId}`;
    const containers = await this.#engine.listContainers(label);
    await settleAll(containers.map((container) => this.#engine.removeContainer(container.Id)));
    const networks = await this.#engine.listNetworks(label);
    await settleAll(networks.map((network) => this.#engine.removeNetwork(network.Id)));
    if (containers.length + networks.length > 0) {
      const counts = { containers: containers.length, networks: networks.length };
      this.#settings.logger.info(counts, "removed what was left of earlier jobs");
    }
  }

  async #removeFolders(imageId: string): Promise<void> {
    const names = await readdir(this.#places.folder);
    await settleAll(names.map((name) => this.#places.removeFolder(join(this.#places.folder, name), name, imageId)));
  }
}

async function settleAll(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work);
  const faults = results.filter((result) => result.status === "rejected").map((result) => result.reason as unknown);
  if (faults.length > 0) throw cleanUpFault(faults);
}
