import { createHash } from "node:crypto";
import { type ImageReference, parseImageReference } from "@shipfox/shared/image-reference";
import type { PullPolicy, RegistryCredential } from "@shipfox/shared/machine";
import type { Logger } from "pino";
import { SandboxError } from "../sandbox-error.ts";
import { type Engine, pause } from "./engine.ts";
import { isLocalImage, registryFault, stricterPolicy } from "./image-policy.ts";
import { PullProgress } from "./pull-progress.ts";

export interface JobImage {
  readonly reference: string;
  /** Content address: what a cache or a warm container may be keyed by. */
  readonly id: string;
  /** Digests of the manifests under which registries gave it out. */
  readonly digests: readonly string[];
  /** The image's own health check, in the engine's form. */
  readonly healthcheck: EngineHealthcheck | null;
}

/** Times are nanoseconds, 0 for the engine's default. */
export interface EngineHealthcheck {
  Test?: string[];
  Interval?: number;
  Timeout?: number;
  Retries?: number;
  StartPeriod?: number;
}

export interface ImageSettings {
  readonly logger: Logger;
  readonly pullPolicy: PullPolicy;
  /** References, or their beginnings followed by `*`, of images that any job may use without asking a registry. */
  readonly localImages: readonly string[];
  readonly pullTimeoutMs: number;
  /** Pause before the second try at a registry; it doubles. */
  readonly registryRetryMs: number;
}

/** For whom an image is wanted. */
export interface ImageAsker {
  readonly credential: (reference: string) => Promise<RegistryCredential | null>;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A registry is asked again after this time; about another credential, or none, at once. */
const RIGHT_KEPT_MS = 5 * 60_000;
const MAX_RIGHTS = 1_000;
const MAX_TRIES = 5;
const MAX_RETRY_MS = 20_000;

interface Right {
  readonly digest: string;
  readonly until: number;
}

/**
 * Finds images on this machine and pulls what is missing, each image at most once at a time. Whether a job may have an image
 * is for the image's registry to say, also when a copy is here that another project has pulled.
 */
export class Images {
  readonly #engine: Engine;
  readonly #settings: ImageSettings;
  readonly #pulls = new Map<string, Promise<void>>();
  /** By a hash of reference and credential. */
  readonly #rights = new Map<string, Right>();
  /** Hears of every image that is wanted, by its full name. */
  onUse: (reference: string) => void = () => {};

  constructor(engine: Engine, settings: ImageSettings) {
    this.#engine = engine;
    this.#settings = settings;
  }

  /**
   * An image of the operator's choice, which needs no right. Rejects with `registry_unavailable` or `image_unavailable` when it is
   * neither here nor to be had.
   */
  async ensure(reference: string): Promise<JobImage> {
    const image = parseImageReference(reference);
    this.onUse(image.full);
    const found = await this.#find(reference);
    if (found) return found;
    await this.#retried(image, null, NOBODY, () => this.#pullOnce(image, null, NOBODY));
    return await this.#pulled(image);
  }

  /** An image that a workflow names. Rejects as `ensure` does. */
  async obtain(reference: string, pull: PullPolicy | undefined, asker: ImageAsker): Promise<JobImage> {
    const image = parseImageReference(reference);
    this.onUse(image.full);
    const policy = stricterPolicy(this.#settings.pullPolicy, pull);
    const local = await this.#find(image.full);
    if (local !== null && isLocalImage(image, this.#settings.localImages)) return local;
    if (local === null && policy === "never") {
      throw new SandboxError(
        "image_unavailable",
        `The image ${reference} is not on this machine, and nothing is pulled (policy "never").`,
      );
    }
    const credential = await asker.credential(reference);
    const digest = await this.#retried(image, credential, asker, () => this.#checkRight(image, credential));
    if (digest === null && policy === "never") {
      throw new SandboxError(
        "image_unavailable",
        `This engine cannot ask a registry about ${reference} without pulling it, and nothing is pulled (policy "never").`,
      );
    }
    const isFresh = digest !== null && local !== null && (policy !== "always" || local.digests.includes(digest));
    if (isFresh) return local;
    await this.#retried(image, credential, asker, () => this.#pullOnce(image, credential, asker));
    return await this.#pulled(image);
  }

  async #find(reference: string): Promise<JobImage | null> {
    const info = await this.#engine.inspectImage(reference);
    if (info === null) return null;
    const digests = (info.RepoDigests ?? []).map((text) => text.slice(text.indexOf("@") + 1));
    return { reference, id: info.Id, digests, healthcheck: info.Config.Healthcheck ?? null };
  }

  async #pulled(image: ImageReference): Promise<JobImage> {
    const found = await this.#find(image.full);
    if (found) return found;
    throw new SandboxError("image_unavailable", `The image ${image.full} was pulled but is not there. ${ADVICE}`);
  }

  /** The digest that the registry has under this reference; null when the engine can only ask by pulling. */
  async #checkRight(image: ImageReference, credential: RegistryCredential | null): Promise<string | null> {
    const key = keyOf(image, credential);
    const known = this.#rights.get(key);
    if (known && known.until > performance.now()) return known.digest;
    const digest = await this.#engine.registryDigest(image, credential);
    if (digest === null) return null;
    if (this.#rights.size >= MAX_RIGHTS) this.#rights.clear();
    this.#rights.set(key, { digest, until: performance.now() + RIGHT_KEPT_MS });
    return digest;
  }

  /** The pull of one job serves another that waits for the same image with the same credential. */
  async #pullOnce(image: ImageReference, credential: RegistryCredential | null, asker: ImageAsker): Promise<void> {
    const key = keyOf(image, credential);
    const running = this.#pulls.get(key);
    if (running) return await running;
    const pull = this.#pull(image, credential, asker).finally(() => this.#pulls.delete(key));
    this.#pulls.set(key, pull);
    await pull;
  }

  async #pull(image: ImageReference, credential: RegistryCredential | null, asker: ImageAsker): Promise<void> {
    this.#settings.logger.info({ image: image.full }, "pulling an image");
    const progress = new PullProgress(image.full, asker.report);
    const timeoutMs = this.#settings.pullTimeoutMs;
    await this.#engine.pullImage(image, { credential, timeoutMs, onProgress: (event) => progress.take(event) });
    progress.end();
  }

  /** Busy and broken registries get more tries, with growing pauses; a plain no is an answer. */
  async #retried<T>(
    image: ImageReference,
    credential: RegistryCredential | null,
    { report, signal }: ImageAsker,
    ask: () => Promise<T>,
  ): Promise<T> {
    for (let tries = 1; ; tries++) {
      try {
        return await ask();
      } catch (error) {
        const fault = registryFault(error, image, credential !== null);
        if (fault.reason !== "registry_unavailable" || tries === MAX_TRIES || signal.aborted) throw fault;
        const pauseMs = Math.min(this.#settings.registryRetryMs * 2 ** (tries - 1), MAX_RETRY_MS) * jitter();
        report(`${fault.message} Trying again in ${Math.ceil(pauseMs / 1000)} s.`);
        await pause(pauseMs);
        if (signal.aborted) throw fault;
      }
    }
  }
}

const NOBODY: ImageAsker = {
  credential: async () => null,
  report: () => {},
  signal: new AbortController().signal,
};
const ADVICE = "Check its name and the registry, or build the runner's own image with scripts/sandbox-image.";

function keyOf(image: ImageReference, credential: RegistryCredential | null): string {
  const parts = [image.full, credential?.username ?? null, credential?.password ?? null];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

function jitter(): number {
  return 0.75 + Math.random() / 2;
}
