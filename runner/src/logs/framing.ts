import { TextDecoder } from "node:util";
import {
  encodeLogRecord,
  MAX_GROUP_NAME_BYTES,
  MAX_OUTPUT_DATA_BYTES,
  type WritableLogRecord,
} from "@shipfox/shared/log-records";
import type { LogCommands } from "./commands.ts";
import type { MaskedStream, Masker } from "./masking.ts";

export type OutputStream = "stdout" | "stderr";

/** A record, its line in the log, and how many bytes of output it holds. */
export interface FramedRecord {
  readonly record: WritableLogRecord;
  readonly encoded: string;
  readonly payloadBytes: number;
}

const MAX_GROUP_DEPTH = 32;
const GROUP_MARKER = "::group::";
const END_GROUP_MARKER = "::endgroup::";

/** State of one pipe: bytes become text, text loses its secrets, then becomes lines. */
interface Pipe {
  readonly decoder: TextDecoder;
  readonly masked: MaskedStream;
  /** The unfinished line; at most MAX_OUTPUT_DATA_BYTES once `write` returned. */
  pending: string;
  /** Part of this line was already given out, so it cannot be a marker. */
  isLineOpen: boolean;
}

/**
 * Turns what a step prints into log records, one a line, each at most 16 KiB. `emit` gets encoded records in order;
 * the records do not depend on how the output was cut into chunks, only `flushPartial` adds cuts of its own.
 * `::group::name` and `::endgroup::` lines become groups, nested up to 32; deeper ones are flattened. Whole lines are
 * shown to `commands` first.
 */
export class LogFramer {
  private readonly pipes: Record<OutputStream, Pipe>;
  private readonly openGroups: string[] = [];
  private flattenedGroups = 0;
  private groupCount = 0;
  private payloadBytes = 0;
  private endsWithNewline = true;
  private readonly masker: Masker;
  private readonly commands: LogCommands;
  private readonly emit: (record: FramedRecord) => void;
  private readonly now: () => number;

  constructor(options: {
    masker: Masker;
    commands: LogCommands;
    emit: (record: FramedRecord) => void;
    now?: () => number;
  }) {
    this.masker = options.masker;
    this.commands = options.commands;
    this.emit = options.emit;
    this.now = options.now ?? Date.now;
    this.pipes = { stdout: this.newPipe(), stderr: this.newPipe() };
  }

  write(stream: OutputStream, chunk: Uint8Array): void {
    const pipe = this.pipes[stream];
    this.takeText(stream, pipe.masked.push(pipe.decoder.decode(chunk, { stream: true })));
  }

  /** A line of the runner itself. Starts on a line of its own, also after output without a final newline. */
  line(text: string, stream: OutputStream = "stdout"): void {
    const start = this.endsWithNewline ? "" : "\n";
    for (const piece of piecesOf(`${start}${this.masker.mask(text)}\n`)) this.output(stream, piece);
  }

  startGroup(name: string): void {
    if (this.openGroups.length === MAX_GROUP_DEPTH) {
      this.flattenedGroups += 1;
      return;
    }
    this.groupCount += 1;
    const groupId = `g${this.groupCount}`;
    const parent = this.openGroups.at(-1) ?? null;
    this.record({
      v: 1,
      ts: this.now(),
      type: "group_start",
      group_id: groupId,
      parent_group_id: parent,
      name: cutBytes(name, MAX_GROUP_NAME_BYTES),
    });
    this.openGroups.push(groupId);
  }

  /** Closes the innermost group; without one it does nothing. */
  endGroup(): void {
    if (this.flattenedGroups > 0) {
      this.flattenedGroups -= 1;
      return;
    }
    const groupId = this.openGroups.pop();
    if (groupId !== undefined) this.record({ v: 1, ts: this.now(), type: "group_end", group_id: groupId });
  }

  /** True when a line without an end is waiting that `flushPartial` would show. */
  hasPartialLine(): boolean {
    return Object.values(this.pipes).some((pipe) => this.isShowable(pipe));
  }

  /** Shows unfinished lines, so that a prompt or a progress bar is live. What could be a marker or a secret stays back. */
  flushPartial(): void {
    for (const [stream, pipe] of Object.entries(this.pipes) as [OutputStream, Pipe][]) {
      if (this.isShowable(pipe)) this.takePending(stream, pipe);
    }
  }

  /** Gives out everything kept back. Called when a step's process ended. */
  flush(): void {
    for (const [stream, pipe] of Object.entries(this.pipes) as [OutputStream, Pipe][]) {
      this.takeText(stream, pipe.masked.push(pipe.decoder.decode()) + pipe.masked.flush());
      if (pipe.pending !== "") this.takeLine(stream, pipe, "");
    }
  }

  /** Flushes, closes what is open and writes the `end` record. Nothing may be written afterwards. */
  end(): void {
    this.flush();
    while (this.openGroups.length > 0) {
      this.flattenedGroups = 0;
      this.endGroup();
    }
    this.record({ v: 1, ts: this.now(), type: "end", total_bytes: this.payloadBytes });
  }

  private newPipe(): Pipe {
    return {
      decoder: new TextDecoder("utf-8", { ignoreBOM: true }),
      masked: this.masker.stream(),
      pending: "",
      isLineOpen: false,
    };
  }

  private takeText(stream: OutputStream, text: string): void {
    const pipe = this.pipes[stream];
    let start = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      pipe.pending += text.slice(start, end);
      this.takeLine(stream, pipe, "\n");
      start = end + 1;
    }
    pipe.pending += text.slice(start);
    this.takeOverlong(stream, pipe);
  }

  private takeLine(stream: OutputStream, pipe: Pipe, lineEnd: "\n" | ""): void {
    const line = pipe.pending;
    const isWhole = !pipe.isLineOpen;
    pipe.pending = "";
    pipe.isLineOpen = false;
    if (isWhole && this.takeMarker(line)) return;
    for (const piece of piecesOf(line + lineEnd)) this.output(stream, piece);
  }

  private takeMarker(line: string): boolean {
    if (!line.startsWith("::")) return false;
    const text = line.endsWith("\r") ? line.slice(0, -1) : line;
    if (!this.commands.read(text)) return false;
    if (text === END_GROUP_MARKER) {
      this.endGroup();
      return true;
    }
    if (!text.startsWith(GROUP_MARKER) || Buffer.byteLength(line) > MAX_OUTPUT_DATA_BYTES) return false;
    this.startGroup(text.slice(GROUP_MARKER.length));
    return true;
  }

  /** A line that cannot fit into one record is given out in full pieces; only its tail waits for the line's end. */
  private takeOverlong(stream: OutputStream, pipe: Pipe): void {
    if (pipe.pending.length <= MAX_OUTPUT_DATA_BYTES / 3) return;
    const pieces = piecesOf(pipe.pending);
    if (pieces.length === 1) return;
    pipe.pending = pieces.pop() as string;
    pipe.isLineOpen = true;
    for (const piece of pieces) this.output(stream, piece);
  }

  private takePending(stream: OutputStream, pipe: Pipe): void {
    const pending = pipe.pending;
    pipe.pending = "";
    pipe.isLineOpen = true;
    for (const piece of piecesOf(pending)) this.output(stream, piece);
  }

  private isShowable(pipe: Pipe): boolean {
    if (pipe.pending === "") return false;
    return pipe.isLineOpen || !this.commands.mayBecomeCommand(pipe.pending);
  }

  private output(stream: OutputStream, data: string): void {
    this.endsWithNewline = data.endsWith("\n");
    this.record({ v: 1, ts: this.now(), type: "output", stream, data }, Buffer.byteLength(data));
  }

  private record(record: WritableLogRecord, payloadBytes = 0): void {
    this.payloadBytes += payloadBytes;
    this.emit({ record, encoded: encodeLogRecord(record), payloadBytes });
  }
}

/** The text in pieces of at most 16 KiB of UTF-8, each as long as possible, none cutting a character. */
function piecesOf(text: string): string[] {
  if (text.length <= MAX_OUTPUT_DATA_BYTES / 3) return [text];
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_OUTPUT_DATA_BYTES) return [text];
  const pieces: string[] = [];
  for (let start = 0; start < bytes.length; ) {
    const end = characterStart(bytes, start + MAX_OUTPUT_DATA_BYTES);
    pieces.push(bytes.toString("utf8", start, end));
    start = end;
  }
  return pieces;
}

function cutBytes(text: string, maxBytes: number): string {
  if (text.length <= maxBytes / 3) return text;
  const bytes = Buffer.from(text);
  return bytes.toString("utf8", 0, characterStart(bytes, maxBytes));
}

/** The last start of a character at or before `index`; the end when the text is shorter. */
function characterStart(bytes: Buffer, index: number): number {
  if (index >= bytes.length) return bytes.length;
  let start = index;
  while (((bytes[start] as number) & 0xc0) === 0x80) start -= 1;
  return start;
}
