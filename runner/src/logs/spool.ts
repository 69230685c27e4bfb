import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { z } from "zod";

/** Unacknowledged bytes of one step attempt. */
const DEFAULT_SPOOL_BYTES = 64 * 1024 * 1024;
/** Files are cut here, so that what was acknowledged can leave the disk while the step still prints. */
const SEGMENT_BYTES = 8 * 1024 * 1024;
const MAX_LEFTOVER_STREAMS = 10_000;
const STREAM_FILE = "stream.json";
const SEGMENT_PATTERN = /^(\d{1,15})\.ndjson$/;
const NEWLINE = 0x0a;

const streamSchema = z.object({
  job_id: z.string(),
  step_id: z.string(),
  attempt: z.int().min(1),
  lease_token: z.string(),
});
/** Whose log it is, and the lease token that may append to it: what a restarted runner needs to send the rest. */
export type StreamIdentity = z.infer<typeof streamSchema>;

/**
 * The log of one step attempt on the runner's disk, a folder of 0600 files named after the stream offset they start at.
 * Written synchronously, into the page cache: what was appended survives the death of the process, not of the machine.
 * Offsets count the bytes of this log from its start; they are the offsets of the append call.
 */
export class Spool {
  readonly identity: StreamIdentity;
  private readonly folder: string;
  /** How much may wait for the control plane; whoever appends keeps to it. */
  readonly maxBytes: number;
  private readonly segmentBytes: number;
  private readonly segments: Segment[];
  private endOffset: number;
  private acknowledgedOffset: number;
  private removed = false;

  private constructor(folder: string, identity: StreamIdentity, segments: Segment[], options: SpoolOptions) {
    this.folder = folder;
    this.identity = identity;
    this.segments = segments;
    this.maxBytes = options.maxBytes ?? DEFAULT_SPOOL_BYTES;
    this.segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    const last = segments.at(-1);
    this.endOffset = last === undefined ? 0 : last.start + last.length;
    this.acknowledgedOffset = this.start;
  }

  /** A new, empty log in `root`. Throws when the disk refuses. */
  static create(root: string, identity: StreamIdentity, options: SpoolOptions = {}): Spool {
    const folder = join(root, `${identity.step_id}-${identity.attempt}-${Date.now().toString(36)}`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, STREAM_FILE), JSON.stringify(identity), { mode: 0o600 });
    return new Spool(folder, identity, [], options);
  }

  /** The logs that an earlier process left in `root`. What is not readable as one is removed. */
  static leftovers(root: string): Spool[] {
    return listFolder(root)
      .slice(0, MAX_LEFTOVER_STREAMS)
      .flatMap((name) => {
        const folder = join(root, name);
        const spool = openLeftover(folder, (identity, segments) => new Spool(folder, identity, segments, {}));
        if (spool === null) rmSync(folder, { recursive: true, force: true });
        return spool ?? [];
      });
  }

  /** The first offset that is still on disk. */
  get start(): number {
    return this.segments[0]?.start ?? this.endOffset;
  }

  /** One past the last byte. */
  get end(): number {
    return this.endOffset;
  }

  /** How much waits for the control plane. */
  get unacknowledgedBytes(): number {
    return this.endOffset - this.acknowledgedOffset;
  }

  /** Adds whole records. Null, or why the disk refuses: then nothing was added. */
  append(records: Buffer): string | null {
    try {
      this.write(records);
      return null;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Adds the last records. Where the disk refuses they stay in memory until they are sent. */
  appendLast(records: Buffer): void {
    if (this.append(records) === null) return;
    this.segments.push({ start: this.endOffset, length: records.length, fd: null, bytes: records });
    this.endOffset += records.length;
  }

  /** Whole records from `offset` on, at most `maxBytes`, at least one when there is one. Empty at the end. */
  read(offset: number, maxBytes: number): Buffer {
    const segment = this.segments.findLast((candidate) => candidate.start <= offset);
    if (segment === undefined) return Buffer.alloc(0);
    const length = Math.min(maxBytes, segment.start + segment.length - offset);
    if (length <= 0) return Buffer.alloc(0);
    if (segment.bytes)
      return wholeRecords(segment.bytes.subarray(offset - segment.start, offset - segment.start + length));
    const buffer = Buffer.allocUnsafe(length);
    const read = readSync(segment.fd, buffer, 0, length, offset - segment.start);
    return wholeRecords(buffer.subarray(0, read));
  }

  /** The server has everything before `offset`; files that are no longer needed go. */
  acknowledge(offset: number): void {
    this.acknowledgedOffset = Math.max(this.acknowledgedOffset, offset);
    for (;;) {
      const first = this.segments[0];
      if (first === undefined || this.segments.length === 1 || first.start + first.length > this.acknowledgedOffset)
        return;
      this.segments.shift();
      if (first.fd === null) continue;
      closeSync(first.fd);
      unlinkSync(join(this.folder, segmentName(first.start)));
    }
  }

  /** Closes the files and keeps them for the next start. */
  close(): void {
    for (const { fd } of this.segments.splice(0)) if (fd !== null) closeSync(fd);
  }

  /** Removes the log from the disk. Idempotent. */
  remove(): void {
    if (this.removed) return;
    this.removed = true;
    this.close();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A write that fails half way leaves half a record behind the end, where the next one overwrites it. */
  private write(bytes: Buffer): void {
    const segment = this.segmentFor(bytes.length);
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(segment.fd, bytes, written, bytes.length - written, segment.length + written);
    }
    segment.length += bytes.length;
    this.endOffset += bytes.length;
  }

  private segmentFor(bytes: number): FileSegment {
    const last = this.segments.at(-1);
    if (last?.fd === null) throw new Error("nothing follows the last records of a log");
    if (last !== undefined && (last.length === 0 || last.length + bytes <= this.segmentBytes)) return last;
    const fd = openSync(join(this.folder, segmentName(this.endOffset)), "w+", 0o600);
    const segment = { start: this.endOffset, length: 0, fd };
    this.segments.push(segment);
    return segment;
  }
}

export interface SpoolOptions {
  maxBytes?: number;
  segmentBytes?: number;
}

interface FileSegment {
  readonly start: number;
  length: number;
  readonly fd: number;
  readonly bytes?: undefined;
}

interface MemorySegment {
  readonly start: number;
  readonly length: number;
  readonly fd: null;
  readonly bytes: Buffer;
}

type Segment = FileSegment | MemorySegment;

function wholeRecords(bytes: Buffer): Buffer {
  return bytes.subarray(0, bytes.lastIndexOf(NEWLINE) + 1);
}

const segmentName = (start: number) => `${start}.ndjson`;

function openLeftover(folder: string, make: (identity: StreamIdentity, segments: Segment[]) => Spool): Spool | null {
  try {
    const identity = streamSchema.parse(JSON.parse(readFileSync(join(folder, STREAM_FILE), "utf8")));
    const starts = listFolder(folder)
      .flatMap((name) => SEGMENT_PATTERN.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((left, right) => left - right);
    const segments = starts.map((start) => openSegment(folder, start));
    return segments.length === 0 ? null : make(identity, segments);
  } catch {
    return null;
  }
}

/** The length ends with the last whole record: the process may have died while it wrote. */
function openSegment(folder: string, start: number): Segment {
  const fd = openSync(join(folder, segmentName(start)), "r+");
  const bytes = Buffer.allocUnsafe(fstatSync(fd).size);
  const read = readSync(fd, bytes, 0, bytes.length, 0);
  return { start, length: bytes.subarray(0, read).lastIndexOf(NEWLINE) + 1, fd };
}

function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
