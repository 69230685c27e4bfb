import { createHash, type Hash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { ApiError } from "@shipfox/shared/errors";
import type { BlobRow } from "../../store/schema.ts";
import type { BlobPlace, BlobStore } from "./blob-store.ts";
import { decidePart } from "./model.ts";

/** Bytes of all parts that wait or are being written; another one is answered 503 `overloaded`. */
const MAX_PENDING_BYTES = 256 * 1024 * 1024;
/** Uploads that are remembered while nobody sends; another one is read from the disk again. */
const MAX_REMEMBERED = 1_000;
/** Hashed at once; between two of them others have their turn. */
const HASH_PIECE_BYTES = 1024 * 1024;

/** What this process remembers of one upload. Changed only in turn. */
interface Entry {
  /** Settles when everything asked for so far is done. */
  turn: Promise<unknown>;
  waiting: number;
  /** null: not looked up, or no longer sure. */
  committed: number | null;
  /** Of the first `hashed` bytes. */
  hash: Hash;
  hashed: number;
}

type Upload = Pick<BlobRow, "id" | "workspace_id" | "size" | "sha256">;

/** The bytes of uploads on their way to the disk: parts in order, one after another for each upload. */
export class Uploads {
  readonly #blobs: BlobStore;
  readonly #entries = new Map<string, Entry>();
  #pendingBytes = 0;

  constructor(blobs: BlobStore) {
    this.#blobs = blobs;
  }

  /** How many bytes of it are on the disk. */
  committed(upload: Upload): Promise<number> {
    return this.#inTurn(upload, (entry) => this.#load(upload, entry));
  }

  /**
   * Puts a part at `offset`; answers how many bytes are on the disk then. Repetitions are acknowledged without being stored.
   * Throws 409 `offset-gap` with `details.committed_length`, 422 `upload-mismatch`, 503 `overloaded`, 507 `storage-full`.
   */
  async append(upload: Upload, offset: number, part: Buffer): Promise<number> {
    if (this.#pendingBytes + part.length > MAX_PENDING_BYTES)
      throw new ApiError("overloaded", "too many parts of files wait for the disk; repeat in a moment");
    this.#pendingBytes += part.length;
    try {
      return await this.#inTurn(upload, (entry) => this.#append(upload, entry, offset, part));
    } finally {
      this.#pendingBytes -= part.length;
    }
  }

  /**
   * Whether all bytes are there and are those that were announced, then runs `settle` before anything else is done with the
   * upload. Throws 409 `offset-gap` with `details.committed_length` when some are missing.
   */
  finish<T>(upload: Upload, settle: (isWhole: boolean) => Promise<T>): Promise<T> {
    return this.#inTurn(upload, async (entry) => {
      const committed = await this.#load(upload, entry);
      if (committed < upload.size) throw gap(committed);
      const isWhole = committed === upload.size && (await this.#digest(upload, entry)) === upload.sha256;
      return await settle(isWhole);
    });
  }

  /** Removes the bytes, after what is being written. */
  async remove(upload: Upload): Promise<void> {
    await this.#inTurn(upload, () => this.#blobs.remove(placeOf(upload)));
    this.#entries.delete(upload.id);
  }

  async #append(upload: Upload, entry: Entry, offset: number, part: Buffer): Promise<number> {
    const committed = await this.#load(upload, entry);
    const decision = decidePart({ committed, size: upload.size }, { offset, length: part.length });
    if (decision === "too-long")
      throw new ApiError(
        "upload-mismatch",
        `the file was announced with ${upload.size} bytes; the part goes beyond them`,
      );
    if (decision === "gap") throw gap(committed);
    if (decision === "acknowledge") return committed;
    // Until it is done nobody knows what is there.
    entry.committed = null;
    await this.#blobs.write(placeOf(upload), committed, part);
    if (entry.hashed === committed) await addTo(entry, part);
    entry.committed = committed + part.length;
    return entry.committed;
  }

  async #load(upload: Upload, entry: Entry): Promise<number> {
    entry.committed ??= await this.#blobs.length(placeOf(upload));
    return entry.committed;
  }

  /** The parts were hashed as they came, unless another process took some of them. */
  async #digest(upload: Upload, entry: Entry): Promise<string> {
    const rest = this.#blobs.read(placeOf(upload), entry.hashed, upload.size - entry.hashed);
    for await (const piece of rest) await addTo(entry, piece);
    return entry.hash.copy().digest("hex");
  }

  #inTurn<T>(upload: Upload, work: (entry: Entry) => Promise<T>): Promise<T> {
    const entry = this.#entry(upload.id);
    entry.waiting += 1;
    const result = entry.turn.then(() => work(entry)).finally(() => void (entry.waiting -= 1));
    entry.turn = result.catch(() => undefined);
    return result;
  }

  #entry(blobId: string): Entry {
    const known = this.#entries.get(blobId);
    if (known) return known;
    if (this.#entries.size >= MAX_REMEMBERED) this.#forgetOne();
    const hash = createHash("sha256");
    const entry: Entry = { turn: Promise.resolve(), waiting: 0, committed: null, hash, hashed: 0 };
    this.#entries.set(blobId, entry);
    return entry;
  }

  #forgetOne(): void {
    for (const [blobId, { waiting }] of this.#entries) {
      if (waiting === 0) return void this.#entries.delete(blobId);
    }
  }
}

export function placeOf({ id, workspace_id }: Pick<BlobRow, "id" | "workspace_id">): BlobPlace {
  return { blobId: id, workspaceId: workspace_id };
}

async function addTo(entry: Entry, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; at += HASH_PIECE_BYTES) {
    const piece = bytes.subarray(at, at + HASH_PIECE_BYTES);
    entry.hash.update(piece);
    entry.hashed += piece.length;
    if (at + HASH_PIECE_BYTES < bytes.length) await turn();
  }
}

function gap(committed: number): ApiError {
  return new ApiError("offset-gap", `${committed} bytes are there; go on from there`, {
    details: { committed_length: committed },
  });
}
