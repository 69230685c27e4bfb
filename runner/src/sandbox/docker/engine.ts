import type { Duplex } from "node:stream";
import { DEFAULT_REGISTRY, type ImageReference } from "@shipfox/shared/image-reference";
import type { RegistryCredential } from "@shipfox/shared/machine";
import Docker from "dockerode";
import { SandboxError, type SandboxFault } from "../sandbox-error.ts";
import type { PullEvent } from "./pull-progress.ts";
import { parseEngineAddress } from "./engine-address.ts";

/** How long one call may take; a busy engine answers a start in seconds, the rest in milliseconds. */
export const CALL_TIMEOUT_MS = 30_000;
export const START_TIMEOUT_MS = 120_000;
export const REMOVE_TIMEOUT_MS = 60_000;
const PULL_IDLE_MS = 60_000;

/**
 * The part of the Engine API that sandboxes need, through dockerode. Every call has a deadline and rejects with
 * `SandboxError`; `removeContainer`, `removeNetwork` and `killContainer` count "not there" as done.
 */
export class Engine {
  readonly #docker: Docker;
  readonly #address: string;
  #isPodman: boolean | null = null;
  /** Hears of every image that this runner brought to this machine. */
  onPulled: (image: string) => Promise<void> = async () => {};

  constructor(dockerHost: string | null) {
    const host = dockerHost ?? process.env.DOCKER_HOST ?? "unix:///var/run/docker.sock";
    this.#address = host;
    this.#docker = new Docker(parseEngineAddress(host));
  }

  /** As a DOCKER_HOST. */
  get address(): string {
    return this.#address;
  }

  async ping(): Promise<void> {
    await this.#call("ping", CALL_TIMEOUT_MS, () => this.#docker.ping());
  }

  async version(): Promise<Docker.DockerVersion> {
    return await this.#call("version", CALL_TIMEOUT_MS, () => this.#docker.version());
  }

  async info(): Promise<EngineInfo> {
    return (await this.#call("info", CALL_TIMEOUT_MS, () => this.#docker.info())) as EngineInfo;
  }

  /** False when a container uses it. */
  async removeImage(image: string): Promise<boolean> {
    return await this.#call(`removal of ${image}`, REMOVE_TIMEOUT_MS, async (abortSignal) => {
      const isInUse = (error: unknown) => (error as EngineFailure).statusCode === CONFLICT;
      try {
        await nullWhenMissing(this.#docker.getImage(image).remove({ abortSignal }));
        return true;
      } catch (error) {
        if (isInUse(error)) return false;
        throw error;
      }
    });
  }

  /** Null when the image is not on this machine. */
  async inspectImage(image: string): Promise<Docker.ImageInspectInfo | null> {
    return await this.#call("image inspect", CALL_TIMEOUT_MS, () =>
      nullWhenMissing(this.#docker.getImage(image).inspect()),
    );
  }

  /**
   * The digest under which the registry would deliver the image to whoever has the credential. Rejects when it would not;
   * null when this engine cannot ask without pulling.
   */
  async registryDigest(image: ImageReference, credential: RegistryCredential | null): Promise<string | null> {
    if (await this.isPodman()) return null;
    const options = { authconfig: authOf(image, credential) };
    const answer = await this.#call(`look-up of ${image.full}`, CALL_TIMEOUT_MS, async () =>
      this.#docker.getImage(image.full).distribution(options),
    );
    return (answer as { Descriptor: { digest: string } }).Descriptor.digest;
  }

  /** Gives up after `timeoutMs`, and when nothing has arrived for a minute. */
  async pullImage(
    image: ImageReference,
    pull: { credential: RegistryCredential | null; timeoutMs: number; onProgress: (event: PullEvent) => void },
  ): Promise<void> {
    await this.#call(`pull of ${image.full}`, pull.timeoutMs, async (signal) => {
      const idle = new AbortController();
      let timer = setTimeout(() => idle.abort(), PULL_IDLE_MS);
      const onProgress = (event: PullEvent) => {
        clearTimeout(timer);
        timer = setTimeout(() => idle.abort(), PULL_IDLE_MS);
        pull.onProgress(event);
      };
      const abortSignal = AbortSignal.any([signal, idle.signal]);
      try {
        const authconfig = authOf(image, pull.credential);
        const progress = await this.#docker.pull(image.full, { abortSignal, ...(authconfig ? { authconfig } : {}) });
        await new Promise<void>((resolve, reject) => {
          idle.signal.addEventListener("abort", () => reject(stalled(image)));
          this.#docker.modem.followProgress(progress, (error) => (error ? reject(error) : resolve()), onProgress);
        });
      } catch (error) {
        throw idle.signal.aborted ? stalled(image, error) : error;
      } finally {
        clearTimeout(timer);
      }
    });
    await this.onPulled(image.full);
  }

  /** Podman speaks the engine's API with some differences. */
  async isPodman(): Promise<boolean> {
    this.#isPodman ??= ((await this.version()).Components ?? []).some(({ Name }) => Name.startsWith("Podman"));
    return this.#isPodman;
  }

  async createContainer(options: Docker.ContainerCreateOptions): Promise<string> {
    const suited = (await this.isPodman()) ? forPodman(options) : options;
    const container = await this.#call("container create", CALL_TIMEOUT_MS, (abortSignal) =>
      this.#docker.createContainer({ ...suited, abortSignal }),
    );
    return container.id;
  }

  async startContainer(id: string): Promise<void> {
    await this.#call("container start", START_TIMEOUT_MS, (abortSignal) =>
      this.#docker.getContainer(id).start({ abortSignal }),
    );
  }

  /** What the container prints from now on, in the engine's frames; ends with the container. */
  async attachOutput(id: string): Promise<Duplex> {
    const stream = await this.#call("container attach", CALL_TIMEOUT_MS, () =>
      this.#docker.getContainer(id).attach({ stream: true, stdout: true, stderr: true, hijack: true }),
    );
    return stream as Duplex;
  }

  /** Resolves with the exit code when the container ends the next time; it may be called before the start. */
  async nextExit(id: string): Promise<number> {
    const answer = (await this.#docker.getContainer(id).wait({ condition: "next-exit" })) as { StatusCode: number };
    return answer.StatusCode;
  }

  /** Null when the container is gone. */
  async inspectContainer(id: string): Promise<Docker.ContainerInspectInfo | null> {
    return await this.#call("container inspect", CALL_TIMEOUT_MS, (abortSignal) =>
      nullWhenMissing(this.#docker.getContainer(id).inspect({ abortSignal })),
    );
  }

  async killContainer(id: string): Promise<void> {
    await this.#call("container kill", CALL_TIMEOUT_MS, (abortSignal) =>
      nullWhenMissing(this.#docker.getContainer(id).kill({ signal: "SIGKILL", abortSignal }), NOT_RUNNING),
    );
  }

  /** Every process of the container stands still until `unpauseContainer`. Killing and removing work meanwhile. */
  async pauseContainer(id: string): Promise<void> {
    await this.#call("container pause", CALL_TIMEOUT_MS, (abortSignal) =>
      this.#docker.getContainer(id).pause({ abortSignal }),
    );
  }

  async unpauseContainer(id: string): Promise<void> {
    await this.#call("container unpause", CALL_TIMEOUT_MS, (abortSignal) =>
      this.#docker.getContainer(id).unpause({ abortSignal }),
    );
  }

  /** Returns when the container is gone, also when the engine was already removing it by itself. */
  async removeContainer(id: string): Promise<void> {
    await this.#call("container remove", REMOVE_TIMEOUT_MS, async (abortSignal) => {
      const container = this.#docker.getContainer(id);
      const remove = async () =>
        await nullWhenMissing(container.remove({ force: true, v: true, abortSignal }), ALREADY_IN_PROGRESS);
      while (!(await remove().then(() => true, isOnItsWayOut))) await pause(REMOVE_POLL_MS);
      while ((await nullWhenMissing(container.inspect({ abortSignal }))) !== null) await pause(REMOVE_POLL_MS);
    });
  }

  /** `path` names one file in the container; null when it has none. The answer is a tar stream. */
  async readArchive(id: string, path: string): Promise<NodeJS.ReadableStream | null> {
    return await this.#call("archive read", CALL_TIMEOUT_MS, (abortSignal) =>
      nullWhenMissing(this.#docker.getContainer(id).getArchive({ path, abortSignal })),
    );
  }

  async hasFile(id: string, path: string): Promise<boolean> {
    const found = await this.#call("archive look-up", CALL_TIMEOUT_MS, (abortSignal) =>
      nullWhenMissing(this.#docker.getContainer(id).infoArchive({ path, abortSignal })),
    );
    return found !== null;
  }

  async writeArchive(id: string, tar: Buffer): Promise<void> {
    await this.#call("archive write", CALL_TIMEOUT_MS, (abortSignal) =>
      this.#docker.getContainer(id).putArchive(tar, { path: "/", abortSignal }),
    );
  }

  async createExec(containerId: string, options: Docker.ExecCreateOptions): Promise<string> {
    const exec = await this.#call("exec create", CALL_TIMEOUT_MS, (abortSignal) =>
      this.#docker.getContainer(containerId).exec({ ...options, abortSignal }),
    );
    return exec.id;
  }

  /** The exec's streams, output in the engine's frames. */
  async startExec(execId: string, stdin: boolean): Promise<Duplex> {
    return await this.#call("exec start", CALL_TIMEOUT_MS, () =>
      this.#docker.getExec(execId).start({ hijack: true, stdin }),
    );
  }

  /** `exitCode` is null while the process runs, and before it was started. */
  async inspectExec(execId: string): Promise<{ running: boolean; exitCode: number | null }> {
    const info = await this.#call("exec inspect", CALL_TIMEOUT_MS, (abortSignal) =>
      nullWhenMissing(this.#docker.getExec(execId).inspect({ abortSignal })),
    );
    if (info === null)
      throw new SandboxError("sandbox_lost", "The job's container disappeared while a step ran in it.");
    return { running: info.Running, exitCode: info.Running ? null : (info.ExitCode ?? null) };
  }

  async createNetwork(options: Docker.NetworkCreateOptions): Promise<string> {
    const network = await this.#call("network create", CALL_TIMEOUT_MS, (abortSignal) =>
      this.#docker.createNetwork({ ...options, abortSignal }),
    );
    return network.id;
  }

  async removeNetwork(id: string): Promise<void> {
    await this.#call("network remove", REMOVE_TIMEOUT_MS, (abortSignal) =>
      nullWhenMissing(this.#docker.getNetwork(id).remove({ abortSignal })),
    );
  }

  async listNetworks(label?: string): Promise<Docker.NetworkInspectInfo[]> {
    const filters = label === undefined ? {} : { filters: { label: [label] } };
    return await this.#call("network list", CALL_TIMEOUT_MS, (abortSignal) =>
      this.#docker.listNetworks({ ...filters, abortSignal }),
    );
  }

  async listContainers(label: string): Promise<Docker.ContainerInfo[]> {
    return await this.#call("container list", CALL_TIMEOUT_MS, (abortSignal) =>
      this.#docker.listContainers({ all: true, filters: { label: [label] }, abortSignal }),
    );
  }

  /** Bytes written to the own layers of all containers with the label. */
  async layerBytes(label: string): Promise<number> {
    const containers = (await this.#call("container sizes", CALL_TIMEOUT_MS, (abortSignal) =>
      this.#docker.listContainers({ size: true, filters: { label: [label] }, abortSignal }),
    )) as { SizeRw?: number }[];
    return containers.reduce((sum, container) => sum + (container.SizeRw ?? 0), 0);
  }

  async #call<T>(what: string, timeoutMs: number, run: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const signal = AbortSignal.timeout(timeoutMs);
    try {
      return await Promise.race([run(signal), rejectOnAbort(signal)]);
    } catch (error) {
      if (error instanceof SandboxError) throw error;
      if (signal.aborted) {
        const message = `Docker did not answer in ${timeoutMs / 1000} s (${what}). Check the daemon and the load of this machine.`;
        throw new SandboxError("timed_out", message, { cause: error });
      }
      throw this.#translate(what, error);
    }
  }

  #translate(what: string, error: unknown): SandboxError {
    const fault = error as EngineFailure;
    const detail = fault.json?.message ?? (error instanceof Error ? error.message.trim() : String(error));
    const reason = faultReason(fault, detail);
    return new SandboxError(reason, `${ADVICE[reason] ?? "Docker refused"} (${what} at ${this.#address}: ${detail}).`, {
      cause: error,
    });
  }
}

/** The part of the engine's self-description that we judge. */
export interface EngineInfo {
  Driver?: string;
  SecurityOptions?: string[];
  CgroupVersion?: string;
  Runtimes?: object;
  /** The folder of images and layers on the engine's machine. */
  DockerRootDir?: string;
}

interface EngineFailure {
  code?: string;
  statusCode?: number;
  json?: { message?: string } | null;
}

const NOT_FOUND = 404;
const CONFLICT = 409;
const NOT_RUNNING = [NOT_FOUND, CONFLICT];
const ALREADY_IN_PROGRESS = [NOT_FOUND, CONFLICT];
const REMOVE_POLL_MS = 20;

/** Podman refuses to remove a container that has just ended: false, so that it is tried again. */
function isOnItsWayOut(error: Error): false {
  if (/container state improper/.test(error.message)) return false;
  throw error;
}
const CONNECTION_CODES = new Set([
  "ECONNREFUSED",
  "ENOENT",
  "EACCES",
  "ECONNRESET",
  "EPIPE",
  "ENOTFOUND",
  "EHOSTUNREACH",
]);

const ADVICE: Partial<Record<SandboxFault, string>> = {
  docker_unavailable:
    "Docker does not answer: start it and let this user use its socket, or set DOCKER_HOST to where it listens",
  disk_full: "Docker's disk is full: free space, for example with `docker system prune`",
  network_unavailable: "Docker could not make a network for the job",
};

function faultReason(fault: EngineFailure, detail: string): SandboxFault {
  if (fault.code === "ENOSPC" || /no space left on device|disk quota exceeded/i.test(detail)) return "disk_full";
  if (fault.statusCode === undefined && CONNECTION_CODES.has(fault.code ?? "")) return "docker_unavailable";
  if (fault.statusCode === NOT_FOUND && /no such image/i.test(detail)) return "image_unavailable";
  if (/address pool|pool overlaps|failed to set up .*network|bridge/i.test(detail)) return "network_unavailable";
  return "start_failed";
}

async function nullWhenMissing<T>(answer: Promise<T>, missing: readonly number[] = [NOT_FOUND]): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (missing.includes((error as EngineFailure).statusCode ?? 0)) return null;
    throw error;
  }
}

export function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

/** Podman replaces the limits of its own configuration by those that are asked for, also where it may not raise them. */
function forPodman(options: Docker.ContainerCreateOptions): Docker.ContainerCreateOptions {
  const { Ulimits = [], ...host } = options.HostConfig ?? {};
  const asked = Ulimits.filter(({ Name }) => Name !== "core");
  return { ...options, HostConfig: asked.length === 0 ? host : { ...host, Ulimits: asked } };
}

function authOf(image: ImageReference, credential: RegistryCredential | null): Docker.AuthConfig | undefined {
  if (credential === null) return undefined;
  const serveraddress = image.registry === DEFAULT_REGISTRY ? "https://index.docker.io/v1/" : image.registry;
  return { ...credential, serveraddress };
}

function stalled(image: ImageReference, cause?: unknown): SandboxError {
  const message = `Nothing of ${image.full} arrived for ${PULL_IDLE_MS / 1000} s.`;
  return new SandboxError("timed_out", message, { cause });
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
