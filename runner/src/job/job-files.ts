import type { SetupConfig } from "@shipfox/shared/machine";
import { RefusedError } from "@shipfox/shared/call-error";
import type { ControlPlaneClient } from "../control-plane/client.ts";
import { FileClient } from "../control-plane/file-client.ts";
import { ArchiveFault } from "../files/archive-fault.ts";
import type { Compression } from "../files/compression.ts";
import { hashFiles } from "../files/hash-files.ts";
import { ARCHIVE_LIMITS, packPaths } from "../files/pack-paths.ts";
import { TemporaryFile } from "../files/temporary-file.ts";
import { unpack } from "../files/unpack.ts";
import type { StepLog } from "../logs/step-log.ts";
import type { Sandbox } from "../sandbox/sandbox.ts";

/** Answers of the plane that end the job, not only what is done for it. */
const JOB_IS_OVER: ReadonlySet<string> = new Set(["lease-not-active", "job-not-found", "unauthorized"]);
/** What speaks against saving a cache, and against nothing else. */
const NOT_SAVED: ReadonlySet<string> = new Set(["cache-exists", "cache-read-only"]);
const KIBIBYTE = 1024;

type CacheConfig = NonNullable<SetupConfig["caches"]>[number];
type UploadConfig = NonNullable<SetupConfig["uploads"]>[number];
type DownloadConfig = NonNullable<SetupConfig["downloads"]>[number];

/** An artifact that a job needs, or should leave, and that is not to be had; the message is a sentence for people. */
export class ArtifactFault extends Error {
  override readonly name = "ArtifactFault";
}

interface JobPlace {
  readonly sandbox: Sandbox;
  readonly log: StepLog;
  readonly signal: AbortSignal;
}

/** The caches and artifacts of one job: got before its first step, left after its last one. */
export class JobFiles {
  readonly #client: ControlPlaneClient;
  readonly #leaseToken: () => string;
  /** Where archives lie on their way. */
  readonly #folder: string;
  #uploads: readonly UploadConfig[] = [];
  #waiting: Pick<SetupConfig, "caches" | "downloads"> = {};
  /** Those that were not found under their key, with the key. */
  #toSave: { readonly key: string; readonly paths: readonly string[] }[] = [];

  constructor(options: { client: ControlPlaneClient; leaseToken: () => string; folder: string }) {
    this.#client = options.client;
    this.#leaseToken = options.leaseToken;
    this.#folder = options.folder;
  }

  /**
   * Fills a workspace that nothing of the user's has run in yet; where a checkout is still to come first, `getWaiting` does. A
   * cache that cannot be had is a warning. Throws ArtifactFault, RefusedError when the job is over, or the reason of the signal.
   */
  async get(config: SetupConfig, place: JobPlace): Promise<void> {
    this.#waiting = config;
    if (!config.files_after_checkout) await this.getWaiting(place);
    this.#uploads = config.uploads ?? [];
  }

  /** After the first checkout step, and before anything of the user's runs. Does it once; throws what `get` throws. */
  async getWaiting(place: JobPlace): Promise<void> {
    const { caches = [], downloads = [] } = this.#waiting;
    this.#waiting = {};
    let got = 0;
    for (const download of downloads) got += await this.#download(download, place);
    for (const cache of caches) got += await this.#restore(cache, place);
    if (got > 0) await place.sandbox.handOver(place.sandbox.workspace);
  }

  /**
   * Packs and sends what a job leaves that ends so; answers why an artifact could not be left, or null. Throws RefusedError when
   * the job is over, or the reason of the signal.
   */
  async leave(status: "succeeded" | "failed", place: JobPlace): Promise<string | null> {
    let fault: string | null = null;
    for (const upload of this.#uploads) {
      if (status === "failed" && upload.when === "success") continue;
      fault = (await this.#upload(upload, place)) ?? fault;
    }
    if (status === "failed" || fault !== null) return fault;
    for (const cache of this.#toSave.splice(0)) await this.#save(cache, place);
    return null;
  }

  async #download({ job, name, path }: DownloadConfig, place: JobPlace): Promise<number> {
    try {
      const client = this.#calls(place);
      const stored = await client.needed({ job, name });
      const entries = await this.#unpack("artifacts", stored, { into: path, compression: "gzip" }, place);
      place.log.line(`Artifact "${name}" of the job "${job}": ${sizeOf(entries, stored.size)}, unpacked into ${path}`);
      return entries;
    } catch (error) {
      throw isOfFile(error)
        ? new ArtifactFault(`The artifact "${name}" of the job "${job}": ${messageOf(error)}`)
        : error;
    }
  }

  async #restore(cache: CacheConfig, place: JobPlace): Promise<number> {
    const { sandbox, log } = place;
    try {
      const key = await keyOf(cache, sandbox);
      const found = await this.#calls(place).findCache(key, cache.restore_keys);
      if (found?.exact !== true) this.#toSave.push({ key, paths: cache.paths });
      if (found === null) {
        log.line(`Cache "${key}": none found`);
        return 0;
      }
      const entries = await this.#unpack("caches", found, { into: ".", compression: "zstd" }, place);
      const from = found.exact ? "" : ` from "${found.key}"`;
      log.line(`Cache "${key}": restored${from}, ${sizeOf(entries, found.size)}`);
      return entries;
    } catch (error) {
      this.#warn(error, `Warning: the cache "${cache.key}" was not restored`, place);
      // What was unpacked before the fault belongs to the job all the same.
      return 1;
    }
  }

  async #unpack(
    kind: "artifacts" | "caches",
    stored: { readonly id: string; readonly size: number; readonly sha256: string },
    how: { into: string; compression: Compression },
    { sandbox, signal }: JobPlace,
  ): Promise<number> {
    const file = await TemporaryFile.make(this.#folder);
    try {
      await this.#calls({ signal }).download(kind, stored, file);
      if (file.sha256 !== stored.sha256) throw new ArchiveFault("its bytes are not those that were stored");
      return await unpack({ file, workspace: sandbox.workspace, limits: ARCHIVE_LIMITS, signal, ...how });
    } finally {
      await file.close();
    }
  }

  async #upload({ name, paths, expires_in, if_missing }: UploadConfig, place: JobPlace): Promise<string | null> {
    const { log } = place;
    try {
      const sent = await this.#send(
        "artifacts",
        { name, ...(expires_in === undefined ? {} : { expires_in }) },
        paths,
        place,
      );
      if (sent !== null) log.line(`Artifact "${name}": ${sent}`);
      else if (if_missing === "ignore") log.line(`Artifact "${name}": there is nothing at its paths`);
      else throw new ArchiveFault(`there is nothing at its paths (${paths.join(", ")})`);
      return null;
    } catch (error) {
      place.signal.throwIfAborted();
      if (!isOfFile(error)) throw error;
      const fault = `The artifact "${name}" could not be stored: ${messageOf(error)}`;
      log.line(`Error: ${fault}`, "stderr");
      return fault;
    }
  }

  async #save({ key, paths }: { key: string; paths: readonly string[] }, place: JobPlace): Promise<void> {
    try {
      const sent = await this.#send("caches", { key }, paths, place);
      place.log.line(`Cache "${key}": ${sent === null ? "there is nothing at its paths" : `saved, ${sent}`}`);
    } catch (error) {
      this.#warn(error, `Warning: the cache "${key}" was not saved`, place);
    }
  }

  /** What was sent, in words; null when there is nothing at the paths. */
  async #send(
    kind: "artifacts" | "caches",
    name: { name: string; expires_in?: number } | { key: string },
    paths: readonly string[],
    place: JobPlace,
  ): Promise<string | null> {
    const { sandbox, signal } = place;
    const compression = kind === "artifacts" ? "gzip" : "zstd";
    const packed = await packPaths({ sandbox, paths, folder: this.#folder, compression, signal });
    if (packed === null) return null;
    try {
      await this.#calls(place).upload(kind, name, packed.file);
      return `${sizeOf(packed.entries, packed.file.size)}, sha256 ${packed.file.sha256}`;
    } finally {
      await packed.file.close();
    }
  }

  /** Whatever it was, the job goes on without; but for its end. */
  #warn(error: unknown, what: string, { log, signal }: JobPlace): void {
    signal.throwIfAborted();
    if (error instanceof RefusedError && JOB_IS_OVER.has(error.code)) throw error;
    const isUsual = error instanceof RefusedError && NOT_SAVED.has(error.code);
    log.line(
      `${isUsual ? what.replace("Warning: the", "The") : what}: ${messageOf(error)}`,
      isUsual ? "stdout" : "stderr",
    );
  }

  #calls({ signal }: Pick<JobPlace, "signal">): FileClient {
    return new FileClient(this.#client, this.#leaseToken, signal);
  }
}

async function keyOf({ key, hash_files }: CacheConfig, sandbox: Sandbox): Promise<string> {
  return hash_files === undefined ? key : `${key}-${await hashFiles(sandbox.workspace, hash_files)}`;
}

/** Whether the fault is of what the workflow asks for, and another runner would have it as well. */
function isOfFile(error: unknown): boolean {
  return error instanceof ArchiveFault || (error instanceof RefusedError && !JOB_IS_OVER.has(error.code));
}

function messageOf(error: unknown): string {
  return (error as Error).message;
}

function sizeOf(entries: number, bytes: number): string {
  const size = bytes < KIBIBYTE ? `${bytes} bytes` : `${Math.round(bytes / KIBIBYTE)} KiB packed`;
  return `${entries} ${entries === 1 ? "entry" : "entries"}, ${size}`;
}
