import { encodeLogFrame } from "./log-frames.ts";

/** Whole records of a log that follow each other. */
export class LogPiece {
  readonly records: Buffer;
  /** The cursor behind them. */
  readonly next: number;
  #frame: Buffer | undefined;

  constructor(records: Buffer, next: number) {
    this.records = records;
    this.next = next;
  }

  /** As server-sent events of the log's own stream; made once, for however many readers. */
  get frame(): Buffer {
    return (this.#frame ??= encodeLogFrame(this.records, this.next));
  }
}
