import { LogFramer, type OutputStream } from "./framing.ts";
import type { Masker } from "./masking.ts";
import { Spool, type StreamIdentity } from "./spool.ts";
import { type LogOutcome, LogUploader, type SendRecords } from "./uploader.ts";

/** An unfinished line is shown after this time, so that prompts and progress bars are live. */
const PARTIAL_LINE_MS = 75;

/** The log of one step attempt, from the step's pipes to the control plane: framing, then spool, then upload. */
export class StepLog {
  private readonly spool: Spool;
  private readonly framer: LogFramer;
  private readonly uploader: LogUploader;
  private partialTimer: NodeJS.Timeout | null = null;
  private ended = false;

  /** Throws when the spool cannot be made on this disk. */
  constructor(options: { spoolFolder: string; identity: StreamIdentity; masker: Masker; send: SendRecords }) {
    this.spool = Spool.create(options.spoolFolder, options.identity);
    this.uploader = new LogUploader({ spool: this.spool, send: options.send });
    this.framer = new LogFramer({
      masker: options.masker,
      emit: (record, payloadBytes) => this.take(record, payloadBytes),
    });
  }

  /** What the step printed. */
  write(stream: OutputStream, chunk: Uint8Array): void {
    if (this.ended) return;
    this.framer.write(stream, chunk);
    if (this.partialTimer !== null || !this.framer.hasPartialLine()) return;
    this.partialTimer = setTimeout(() => {
      this.partialTimer = null;
      this.framer.flushPartial();
    }, PARTIAL_LINE_MS);
  }

  /** A line of the runner itself; nothing after the end. */
  line(text: string, stream: OutputStream = "stdout"): void {
    if (!this.ended) this.framer.line(text, stream);
  }

  /** Writes lines that belong together under a heading. */
  group(name: string, lines: readonly string[]): void {
    if (this.ended) return;
    this.framer.startGroup(name);
    for (const line of lines) this.framer.line(line);
    this.framer.endGroup();
  }

  /** Gives out what the step left unfinished, so that later lines of the runner come after it. */
  flush(): void {
    if (!this.ended) this.framer.flush();
  }

  /** Writes the end record and waits until the control plane has it all, as `LogUploader.drain` does. */
  async finish(idleMs: number, signal: AbortSignal): Promise<LogOutcome> {
    this.end();
    return await this.uploader.drain(idleMs, signal);
  }

  /** Stops sending and removes the log, or keeps it on disk for the next start. */
  async close(options: { keep: boolean }): Promise<void> {
    this.end();
    await this.uploader.stop();
    if (options.keep) this.spool.close();
    else this.spool.remove();
  }

  private end(): void {
    if (this.ended) return;
    if (this.partialTimer !== null) clearTimeout(this.partialTimer);
    this.partialTimer = null;
    this.ended = true;
    this.framer.end();
  }

  private take(record: string, payloadBytes: number): void {
    if (!this.uploader.wantsMore) return;
    if (this.ended) this.spool.appendLast(record);
    else this.spool.append(record, payloadBytes);
    this.uploader.wake();
  }
}
