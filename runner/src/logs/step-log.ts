import type { LogCommands } from "./commands.ts";
import { type FramedRecord, LogFramer, type OutputStream } from "./framing.ts";
import { HeadAndTail } from "./head-and-tail.ts";
import type { LogBudget } from "./log-budget.ts";
import type { Masker } from "./masking.ts";
import { Spool, type StreamIdentity } from "./spool.ts";
import { type LogOutcome, LogUploader, type SendRecords } from "./uploader.ts";

/** An unfinished line is shown after this time, so that prompts and progress bars are live. */
const PARTIAL_LINE_MS = 75;

export interface StepLogOptions {
  spoolFolder: string;
  /** Bytes that may wait on the disk for the control plane. */
  spoolMaxBytes: number;
  identity: StreamIdentity;
  masker: Masker;
  commands: LogCommands;
  /** Shared by the steps of a job. */
  budget: LogBudget;
  send: SendRecords;
  /** Called once, when the disk takes no more of the log; the rest of it is kept in memory as far as that goes. */
  onDiskFault: (message: string) => void;
}

/** The log of one step attempt, from the step's pipes to the control plane: framing, then spool, then upload. */
export class StepLog {
  private readonly spool: Spool;
  private readonly kept: HeadAndTail;
  private readonly framer: LogFramer;
  private readonly uploader: LogUploader;
  private partialTimer: NodeJS.Timeout | null = null;
  private ended = false;

  /** Throws when the spool cannot be made on this disk. */
  constructor(options: StepLogOptions) {
    const { budget, send, onDiskFault } = options;
    this.spool = Spool.create(options.spoolFolder, options.identity, { maxBytes: options.spoolMaxBytes });
    this.kept = new HeadAndTail({ spool: this.spool, budgetBytes: budget.leftBytes, onDiskFault });
    this.uploader = new LogUploader({
      spool: this.spool,
      send: async (offset, records, signal) => {
        const reply = await send(offset, records, signal);
        budget.told(reply.budget_bytes);
        this.kept.setBudget(reply.committed_length + budget.leftBytes);
        return reply;
      },
    });
    this.framer = new LogFramer({
      masker: options.masker,
      commands: options.commands,
      emit: (record) => this.take(record),
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

  private take(record: FramedRecord): void {
    if (!this.uploader.wantsMore) return;
    if (record.record.type === "end") this.kept.end(record);
    else this.kept.append(record);
    this.uploader.wake();
  }
}
