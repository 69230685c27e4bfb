import type { FileHandle } from "node:fs/promises";
import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** Raw bytes of one frame: a page of a log costs a few frames, wherever it begins. */
const FRAME_RAW_BYTES = 256 * 1024;
/** Of a frame that readers pass over (RFC 8878, 3.1.2), so that `zstd -d` unpacks an archive as well. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const SKIPPABLE_HEADER_BYTES = 8;
const FOOTER_MAGIC = 0x53464c47;
/** u64 raw length, u32 number of frames, u32 magic. */
const FOOTER_BYTES = 16;

/** Reads the raw bytes of a log; fewer than asked for only at its end. */
export type ReadRaw = (position: number, length: number) => Promise<Buffer>;

/**
 * Writes a log as zstd frames of 256 KiB each, then a skippable frame: the u32 sizes of the frames and the footer. All
 * numbers are little-endian. The work is done beside the event loop, one frame after another.
 */
export async function writeArchive(target: FileHandle, readRaw: ReadRaw): Promise<void> {
  const sizes: number[] = [];
  let rawLength = 0;
  let position = 0;
  const append = async (bytes: Buffer): Promise<void> => {
    await target.write(bytes, 0, bytes.length, position);
    position += bytes.length;
  };
  for (;;) {
    const raw = await readRaw(rawLength, FRAME_RAW_BYTES);
    if (raw.length === 0) break;
    const frame = await compress(raw);
    await append(frame);
    sizes.push(frame.length);
    rawLength += raw.length;
  }
  await append(encodeIndex(sizes, rawLength));
  await target.datasync();
}

export async function archivedLength(archive: FileHandle): Promise<number> {
  return (await readFooter(archive)).rawLength;
}

/** The raw bytes from `position`, at most `length`; fewer only at the end. */
export async function readArchive(archive: FileHandle, position: number, length: number): Promise<Buffer> {
  const { rawLength, offsets } = await readIndex(archive);
  const end = Math.min(position + length, rawLength);
  if (position >= end) return Buffer.alloc(0);
  const first = Math.floor(position / FRAME_RAW_BYTES);
  const last = Math.floor((end - 1) / FRAME_RAW_BYTES);
  const frames: Buffer[] = [];
  for (let index = first; index <= last; index += 1) {
    const start = offsets[index] as number;
    frames.push(await decompress(await readExactly(archive, start, (offsets[index + 1] as number) - start)));
  }
  const skipped = first * FRAME_RAW_BYTES;
  return Buffer.concat(frames).subarray(position - skipped, end - skipped);
}

function encodeIndex(sizes: readonly number[], rawLength: number): Buffer {
  const contentBytes = sizes.length * 4 + FOOTER_BYTES;
  const index = Buffer.alloc(SKIPPABLE_HEADER_BYTES + contentBytes);
  let at = index.writeUInt32LE(SKIPPABLE_MAGIC, 0);
  at = index.writeUInt32LE(contentBytes, at);
  for (const size of sizes) at = index.writeUInt32LE(size, at);
  at = index.writeBigUInt64LE(BigInt(rawLength), at);
  at = index.writeUInt32LE(sizes.length, at);
  index.writeUInt32LE(FOOTER_MAGIC, at);
  return index;
}

async function readFooter(archive: FileHandle): Promise<{ rawLength: number; frames: number; indexStart: number }> {
  const { size } = await archive.stat();
  const footer = await readExactly(archive, size - FOOTER_BYTES, FOOTER_BYTES);
  if (footer.readUInt32LE(12) !== FOOTER_MAGIC) throw new Error("the archive of a log has no index at its end");
  const frames = footer.readUInt32LE(8);
  return { rawLength: Number(footer.readBigUInt64LE(0)), frames, indexStart: size - FOOTER_BYTES - frames * 4 };
}

/** Where each frame begins, and where the last one ends. */
async function readIndex(archive: FileHandle): Promise<{ rawLength: number; offsets: number[] }> {
  const { rawLength, frames, indexStart } = await readFooter(archive);
  const sizes = await readExactly(archive, indexStart, frames * 4);
  const offsets = [0];
  for (let index = 0; index < frames; index += 1)
    offsets.push((offsets[index] as number) + sizes.readUInt32LE(index * 4));
  return { rawLength, offsets };
}

async function readExactly(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await file.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) throw new Error("the archive of a log is cut off");
    filled += bytesRead;
  }
  return bytes;
}
