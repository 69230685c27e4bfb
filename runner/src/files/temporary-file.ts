import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";

/**
 * A file without a name: nobody else can open it, and it is gone with its handle, also when the process is killed. Written once
 * from its start, then read.
 */
export class TemporaryFile {
  readonly #handle: FileHandle;
  readonly #hash = createHash("sha256");
  #size = 0;
  #digest: string | null = null;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  static async make(folder: string): Promise<TemporaryFile> {
    const path = join(folder, `.archive-${randomBytes(8).toString("hex")}`);
    const handle = await open(path, "wx+", 0o600);
    await unlink(path);
    return new TemporaryFile(handle);
  }

  get size(): number {
    return this.#size;
  }

  /** SHA-256 of all that was written, hex. Nothing may be written any more. */
  get sha256(): string {
    this.#digest ??= this.#hash.digest("hex");
    return this.#digest;
  }

  async append(bytes: Buffer): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await this.#handle.write(bytes, written, bytes.length - written, this.#size + written);
      written += bytesWritten;
    }
    this.#hash.update(bytes);
    this.#size += bytes.length;
  }

  /** The bytes from `offset` on, at most `length`. */
  async part(offset: number, length: number): Promise<Buffer> {
    const part = Buffer.allocUnsafe(Math.max(0, Math.min(length, this.#size - offset)));
    let filled = 0;
    while (filled < part.length) {
      const { bytesRead } = await this.#handle.read(part, filled, part.length - filled, offset + filled);
      if (bytesRead === 0) throw new Error("a file of the runner became shorter");
      filled += bytesRead;
    }
    return part;
  }

  /** All of it, from its start; may be asked for again. */
  read(pieceBytes = 256 * 1024): Readable {
    return Readable.from(this.#pieces(pieceBytes), { objectMode: false });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async *#pieces(pieceBytes: number): AsyncGenerator<Buffer> {
    for (let offset = 0; offset < this.#size; offset += pieceBytes) yield await this.part(offset, pieceBytes);
  }
}
