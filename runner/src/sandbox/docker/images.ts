import type { Logger } from "pino";
import { SandboxError } from "../sandbox-error.ts";
import type { Engine } from "./engine.ts";
import { isRegistryFault } from "./pull-failure.ts";

export interface JobImage {
  readonly reference: string;
  /** Content address: what a cache or a warm container may be keyed by. */
  readonly id: string;
  /** `NAME=value` lines that the image sets itself. */
  readonly env: readonly string[];
}

/** Finds images on this machine and pulls what is missing, each image at most once at a time. */
export class Images {
  readonly #engine: Engine;
  readonly #logger: Logger;
  readonly #pullTimeoutMs: number;
  readonly #pulls = new Map<string, Promise<void>>();

  constructor(engine: Engine, logger: Logger, pullTimeoutMs: number) {
    this.#engine = engine;
    this.#logger = logger;
    this.#pullTimeoutMs = pullTimeoutMs;
  }

  /** Rejects with `image_unavailable` when the image is neither here nor to be had, `registry_unavailable` when it may be later. */
  async ensure(reference: string): Promise<JobImage> {
    const found = await this.#find(reference);
    if (found) return found;
    await this.#pullOnce(reference);
    const pulled = await this.#find(reference);
    if (pulled) return pulled;
    throw new SandboxError("image_unavailable", `The image ${reference} was pulled but is not there. ${ADVICE}`);
  }

  async #find(reference: string): Promise<JobImage | null> {
    const info = await this.#engine.inspectImage(reference);
    return info && { reference, id: info.Id, env: info.Config.Env ?? [] };
  }

  async #pullOnce(reference: string): Promise<void> {
    const running = this.#pulls.get(reference);
    if (running) return await running;
    const pull = this.#pull(reference).finally(() => this.#pulls.delete(reference));
    this.#pulls.set(reference, pull);
    await pull;
  }

  async #pull(reference: string): Promise<void> {
    this.#logger.info({ image: reference }, "pulling an image");
    try {
      await this.#engine.pullImage(withTag(reference), this.#pullTimeoutMs);
    } catch (error) {
      if (error instanceof SandboxError && (error.reason === "disk_full" || error.reason === "docker_unavailable"))
        throw error;
      const detail = error instanceof Error ? error.message : String(error);
      if (isRegistryFault(error)) {
        const message = `The registry of the image ${reference} let the pull down; it is tried again. (${detail})`;
        throw new SandboxError("registry_unavailable", message, { cause: error });
      }
      const message = `The image ${reference} is not on this machine and cannot be pulled. ${ADVICE} (${detail})`;
      throw new SandboxError("image_unavailable", message, { cause: error });
    }
  }
}

const ADVICE = "Check its name and the registry, or build the runner's own image with scripts/sandbox-image.";

/** The engine pulls every tag of a reference that has none. */
export function withTag(reference: string): string {
  const name = reference.slice(reference.lastIndexOf("/") + 1);
  return name.includes(":") || name.includes("@") ? reference : `${reference}:latest`;
}
