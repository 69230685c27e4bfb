import type { ContainerInspectInfo, ImageInspectInfo } from "dockerode";
import { bootArchive } from "../boot-archive.ts";
import { bootFiles } from "../boot-files.ts";
import { consoleText } from "../console-text.ts";
import {
  type CreateRequest,
  type InstanceTags,
  MAX_CONSOLE_CHARS,
  type MachineState,
  type ObservedMachine,
  type Provider,
  ProviderError,
} from "../driver.ts";
import { ownerLabels, sameTags, tagsOf } from "../tag-labels.ts";
import { checkEngine, missingImage } from "./check-engine.ts";
import { containerOptions, type ImageCommand } from "./container-options.ts";
import { type Engine, STATUS } from "./engine.ts";
import type { DockerMachine, DockerSettings } from "./options.ts";
import { outputOfFrames } from "./output-frames.ts";
import { RunnersNetwork } from "./runners-network.ts";

const CLEAN_UP_MS = 10_000;
const CONSOLE_LINES = 1_000;

const STATES: Readonly<Record<string, MachineState>> = {
  created: "starting",
  restarting: "starting",
  running: "running",
  paused: "running",
  removing: "stopping",
  exited: "stopped",
  dead: "stopped",
};

type Request = CreateRequest<DockerMachine>;

/** Containers of one engine. What is known of a machine stands in the labels of its container. */
export class DockerProvider implements Provider<DockerMachine> {
  /** The engine knows its containers. */
  readonly listLagMs = 0;
  readonly #engine: Engine;
  readonly #settings: DockerSettings;
  readonly #network: RunnersNetwork;
  /** Machines that are being made by this process, by name: the token is put in before the start, so only one may see to it. */
  readonly #beginning = new Map<string, { tags: InstanceTags; creation: Promise<{ providerId: string }> }>();

  constructor(engine: Engine, settings: DockerSettings) {
    this.#engine = engine;
    this.#settings = settings;
    this.#network = new RunnersNetwork(engine, settings);
  }

  check(machines: readonly DockerMachine[], signal: AbortSignal): Promise<readonly string[]> {
    return checkEngine(this.#engine, machines, signal);
  }

  async create(request: Request, signal: AbortSignal): Promise<{ readonly providerId: string }> {
    const { name, tags } = request;
    const beginning = this.#beginning.get(name);
    if (beginning !== undefined) {
      if (!sameTags(beginning.tags, tags)) throw nameTaken(name);
      return beginning.creation;
    }
    const creation = this.#create(request, signal).finally(() => this.#beginning.delete(name));
    this.#beginning.set(name, { tags, creation });
    return creation;
  }

  async list(owner: Omit<InstanceTags, "instance">, signal: AbortSignal): Promise<readonly ObservedMachine[]> {
    const labels = Object.entries(ownerLabels(owner)).map(([key, value]) => `${key}=${value}`);
    const containers = await this.#engine.listContainers(labels, signal);
    return containers.map(({ Id, Names, Labels, State }) => ({
      providerId: Id,
      tags: tagsOf(Labels),
      state: State === "created" && !this.#isBeginning(Names) ? "stopped" : (STATES[State] ?? "stopping"),
    }));
  }

  /** A container that nobody is starting never will be: its provisioner was killed, and the token with it. */
  #isBeginning(names: readonly string[]): boolean {
    return names.some((name) => this.#beginning.has(name.replace(/^\//, "")));
  }

  async delete({ providerId, tags }: { providerId: string; tags: InstanceTags }, signal: AbortSignal): Promise<void> {
    const container = await this.#inspect(providerId, signal);
    if (container === null) return;
    if (!sameTags(tagsOf(container.Config.Labels), tags))
      throw new ProviderError("refused", `container ${providerId} does not carry exactly the expected labels`);
    await this.#remove(container.Id, signal);
  }

  async readConsole(providerId: string, signal: AbortSignal): Promise<string | null> {
    const container = await this.#inspect(providerId, signal);
    if (container === null || tagsOf(container.Config.Labels) === null) return null;
    const logs = await this.#engine.find("read of a console", { signal }, (docker, abortSignal) =>
      docker.getContainer(container.Id).logs({ stdout: true, stderr: true, tail: CONSOLE_LINES, abortSignal }),
    );
    // Control characters go, so more is read than is answered.
    return logs === null ? null : consoleText(outputOfFrames(logs).subarray(-4 * MAX_CONSOLE_CHARS));
  }

  async close(): Promise<void> {}

  async #create(request: Request, signal: AbortSignal): Promise<{ providerId: string }> {
    const image = await this.#imageCommand(request.machine.image, signal);
    await this.#network.ensure(signal);
    const options = containerOptions(request, this.#settings, image);
    const made = await this.#engine.callOrStatus(
      "creation of a container",
      { signal, changes: true },
      [STATUS.conflict],
      (docker, abortSignal) => docker.createContainer({ ...options, abortSignal }),
    );
    const id = typeof made === "number" ? await this.#findFormer(request, signal) : made.id;
    if (id === null) return this.#create(request, signal);
    if (typeof made === "number" && !(await this.#isUnstarted(id, signal))) return { providerId: id };
    await this.#start(id, request, signal);
    return { providerId: id };
  }

  /** The container of an earlier call for the same instance; null when it has just gone. */
  async #findFormer({ name, tags }: Request, signal: AbortSignal): Promise<string | null> {
    const former = await this.#inspect(name, signal);
    if (former !== null && !sameTags(tagsOf(former.Config.Labels), tags)) throw nameTaken(name);
    return former?.Id ?? null;
  }

  /** True for what a provisioner left that was killed between creation and start. */
  async #isUnstarted(id: string, signal: AbortSignal): Promise<boolean> {
    return (await this.#inspect(id, signal))?.State.Status === "created";
  }

  /** The boot files lie in the container's own layer, for its root only, and go with it. */
  async #start(id: string, { boot }: Request, signal: AbortSignal): Promise<void> {
    const files = await bootArchive(bootFiles(boot));
    try {
      await this.#engine.call("handing over of the boot files", { signal }, (docker, abortSignal) =>
        docker.getContainer(id).putArchive(files, { path: "/", abortSignal }),
      );
      await this.#engine.callOrStatus("start of a container", { signal }, [STATUS.notModified], (docker, abortSignal) =>
        docker.getContainer(id).start({ abortSignal }),
      );
    } catch (error) {
      this.#network.forget();
      await this.#remove(id, AbortSignal.timeout(CLEAN_UP_MS)).catch((cause: unknown) => {
        const { message } = error as Error;
        throw new ProviderError("unavailable", message, { mayHaveHappened: true, cause });
      });
      throw error;
    }
  }

  async #imageCommand(image: string, signal: AbortSignal): Promise<ImageCommand> {
    const found: ImageInspectInfo | null = await this.#engine.find("look at an image", { signal }, (docker) =>
      docker.getImage(image).inspect(),
    );
    if (found === null) throw new ProviderError("refused", missingImage(image));
    const { Entrypoint, Cmd } = found.Config;
    const entrypoint = typeof Entrypoint === "string" ? [Entrypoint] : (Entrypoint ?? []);
    const command = Cmd ?? [];
    if (entrypoint.length + command.length === 0)
      throw new ProviderError("refused", `the image ${image} starts nothing: it has neither entry point nor command`);
    return { entrypoint, command };
  }

  #inspect(idOrName: string, signal: AbortSignal): Promise<ContainerInspectInfo | null> {
    return this.#engine.find("look at a container", { signal }, (docker, abortSignal) =>
      docker.getContainer(encodeURIComponent(idOrName)).inspect({ abortSignal }),
    );
  }

  /** Running or not, with the volumes that its image asked for. One that is being removed already answers a conflict. */
  async #remove(id: string, signal: AbortSignal): Promise<void> {
    await this.#engine.callOrStatus(
      "removal of a container",
      { signal, changes: true },
      [STATUS.notFound, STATUS.conflict],
      (docker, abortSignal) => docker.getContainer(id).remove({ force: true, v: true, abortSignal }),
    );
  }
}

function nameTaken(name: string): ProviderError {
  return new ProviderError("refused", `there is a container ${name} with other labels`);
}
