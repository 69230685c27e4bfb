import { setTimeout as sleep } from "node:timers/promises";
import {
  appendPartReplySchema,
  beginUploadReplySchema,
  findCacheReplySchema,
  type HeldCache,
  heldArtifactSchema,
  MAX_FILE_PART_BYTES,
} from "@shipfox/shared/machine-files";
import type { z } from "zod";
import type { TemporaryFile } from "../files/temporary-file.ts";
import { RefusedError } from "@shipfox/shared/call-error";
import { type ClientCall, type ControlPlaneClient, parse, repeat } from "./client.ts";

/** A part takes its time on a slow line, and a plane that was started again reads a whole file before it completes it. */
const PART_SECONDS = 105;
const COMPLETE_SECONDS = 285;
const CONFLICT = 409;
const GAP_PAUSE_MS = 200;
/** Each costs a call; a plane that does not keep what it acknowledges would go on for ever. */
const MAX_GAPS = 100;

type Kind = "artifacts" | "caches";
type Stored = { readonly id: string; readonly size: number; readonly sha256: string };

/** How the runner of a job stores and fetches files. All calls are repeated after transient failures until `signal` is aborted. */
export class FileClient {
  readonly #client: ControlPlaneClient;
  readonly #leaseToken: () => string;
  readonly #signal: AbortSignal;

  constructor(client: ControlPlaneClient, leaseToken: () => string, signal: AbortSignal) {
    this.#client = client;
    this.#leaseToken = leaseToken;
    this.#signal = signal;
  }

  /**
   * Stores a file under a name: announced, sent in parts, completed. A connection that breaks, and a plane that is started again
   * meanwhile, cost the part that was on its way.
   */
  async upload(
    kind: Kind,
    name: { name: string; expires_in?: number } | { key: string },
    file: TemporaryFile,
  ): Promise<void> {
    const announced = { ...name, size: file.size, sha256: file.sha256 };
    const begun = await this.#json(beginUploadReplySchema, { path: kind, json: announced });
    const path = `${kind}/${begun.upload_id}`;
    let gaps = 0;
    for (let offset = begun.offset; ; ) {
      try {
        while (offset < file.size) offset = await this.#sendPart(path, file, offset, begun.max_part_bytes);
        await this.#call({ path: `${path}/complete`, waitSeconds: COMPLETE_SECONDS });
        return;
      } catch (error) {
        const committed = committedLength(error);
        if (committed === null || (gaps += 1) > MAX_GAPS) throw error;
        offset = committed;
        await sleep(GAP_PAUSE_MS, undefined, { signal: this.#signal });
      }
    }
  }

  /** An artifact of a job that this one needs. */
  async needed(from: { job: string; name: string }): Promise<Stored> {
    return await this.#json(heldArtifactSchema, { method: "GET", path: `artifacts?${query(from)}` });
  }

  async findCache(key: string, restoreKeys: readonly string[]): Promise<HeldCache | null> {
    const restoring = restoreKeys.map((beginning) => `&${query({ restore_keys: beginning })}`).join("");
    return (await this.#json(findCacheReplySchema, { method: "GET", path: `caches?${query({ key })}${restoring}` }))
      .cache;
  }

  /** Fetches the whole file in parts. Its digest is not compared. */
  async download(kind: Kind, stored: Stored, target: TemporaryFile): Promise<void> {
    for (let offset = 0; offset < stored.size; ) {
      const last = Math.min(stored.size, offset + MAX_FILE_PART_BYTES) - 1;
      const { body } = await this.#call({
        method: "GET",
        path: `${kind}/${stored.id}/content`,
        headers: { range: `bytes=${offset}-${last}` },
        waitSeconds: PART_SECONDS,
      });
      if (body.length !== last + 1 - offset)
        throw new Error("the control plane sent another part of the file than was asked for");
      await target.append(body);
      offset += body.length;
    }
  }

  async #sendPart(path: string, file: TemporaryFile, offset: number, maxBytes: number): Promise<number> {
    const answer = await this.#call({
      method: "PUT",
      path: `${path}?offset=${offset}`,
      body: await file.part(offset, Math.min(maxBytes, MAX_FILE_PART_BYTES)),
      headers: { "content-type": "application/octet-stream" },
      waitSeconds: PART_SECONDS,
    });
    return parse(appendPartReplySchema, answer).committed_length;
  }

  async #json<Schema extends z.ZodType>(schema: Schema, call: Omit<ClientCall, "token">): Promise<z.output<Schema>> {
    return parse(schema, await this.#call(call));
  }

  #call(call: Omit<ClientCall, "token">) {
    const signal = this.#signal;
    return repeat(signal, () =>
      this.#client.call({ ...call, path: `runs/jobs/current/${call.path}`, token: this.#leaseToken(), signal }),
    );
  }
}

/** Where the plane's copy of an upload ends, when that is what it refuses for. */
function committedLength(error: unknown): number | null {
  if (!(error instanceof RefusedError) || error.status !== CONFLICT || error.code !== "offset-gap") return null;
  const length: unknown = Object(error.details).committed_length;
  return typeof length === "number" ? length : null;
}

function query(values: Record<string, string>): string {
  return new URLSearchParams(values).toString();
}
