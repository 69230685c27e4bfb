import { mkdir } from "node:fs/promises";
import { ApiError } from "@shipfox/shared/errors";
import { inspectLogChunk } from "@shipfox/shared/log-records";
import type { Logger } from "@shipfox/shared/logger";
import type { Clock } from "../../store/clock.ts";
import type { RunEvent, Store, Tx, WriteTx } from "../../store/store.ts";
import { Budgets } from "./budgets.ts";
import { FileLogStore } from "./file-log-store.ts";
import { LogHub } from "./hub.ts";
import type { LogStore } from "./log-store.ts";
import {
  type BudgetSettings,
  decideAppend,
  type RetentionSettings,
  type StreamRef,
  type StreamState,
  streamKey,
} from "./model.ts";
import { keepClosedLogs } from "./retention.ts";
import {
  closeOpenStream,
  closeOrInsertStream,
  dueStreams,
  insertStream,
  markCapped,
  type NewStream,
  nextDueAt,
  scheduleOpenStreams,
  type StreamRow,
  streamsOfExecutions,
} from "./store.ts";
import { type LoadedEntry, stateOf, Streams } from "./streams.ts";

/** Bytes of all appends that wait or are being written; another one is answered 503 `overloaded`. */
const MAX_PENDING_BYTES = 256 * 1024 * 1024;
const CLOSE_BATCH = 64;
const FOLDER_MODE = 0o700;
const NOTHING_YET: StreamState = {
  committed: 0,
  stored: 0,
  capped: false,
  closed: false,
  truncated: false,
  closedAt: null,
};

export interface LogSettings extends BudgetSettings, RetentionSettings {
  /** How long a log stays open for a late tail after its lease ended. */
  readonly closeGraceMs: number;
}

export interface LogsDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Folder of the log files. */
  readonly dir: string;
  readonly settings: LogSettings;
  /**
   * When the newest lease of an execution ended, in wall milliseconds; null while it lives. Locks the lease's row, so
   * that a log is not opened beside the unit that ends the lease and schedules the closing of the open ones.
   */
  readonly leaseEndedAt: (tx: Tx, executionId: string) => Promise<number | null>;
}

export interface Appended {
  readonly committedLength: number;
  readonly capped: boolean;
  /** What the job's logs may take in addition at the moment. */
  readonly budgetLeftBytes: number;
}

/**
 * The logs of all steps. Bytes are in files, one row of the database says that a log exists and whether it is closed.
 * A row is written when a log is begun, capped and closed, never per append.
 */
export class Logs {
  readonly files: LogStore;
  readonly streams: Streams;
  readonly hub = new LogHub();
  readonly #deps: LogsDeps;
  readonly #budgets: Budgets;
  #pendingBytes = 0;
  #writtenBytes = 0;

  constructor(deps: LogsDeps) {
    this.#deps = deps;
    this.files = new FileLogStore(deps.dir);
    this.streams = new Streams(deps.store, this.files);
    this.#budgets = new Budgets(deps.store, this.files, deps.settings);
  }

  /** Since this process started. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Called once before anything else. The length of a log is repaired when it is first touched. */
  async recover(): Promise<void> {
    await mkdir(this.#deps.dir, { recursive: true, mode: FOLDER_MODE });
  }

  /**
   * Appends whole records at `offset`, a position in what the runner has sent of this log. Settles when they are on the
   * disk. Appends to one log are done in the order of the calls. An empty chunk only asks for the committed length.
   *
   * Repetitions, and whatever comes after the close, are acknowledged without being stored. Throws 400
   * `malformed-log-chunk`, 409 `offset-gap` with `details.committed_length`, 503 `overloaded`, 507 `storage-full`.
   */
  async append(stream: StreamRef, offset: number, chunk: Buffer): Promise<Appended> {
    const { fault, ends } = inspectLogChunk(chunk);
    if (fault !== null)
      throw new ApiError("malformed-log-chunk", `${fault}; expected whole records, one JSON object a line`);
    if (this.#pendingBytes + chunk.length > MAX_PENDING_BYTES) {
      throw new ApiError("overloaded", "too many log bytes wait for the disk; repeat in a moment");
    }
    this.#pendingBytes += chunk.length;
    try {
      return await this.streams.inTurn(stream, (entry) => this.#append(entry, offset, chunk, ends));
    } finally {
      this.#pendingBytes -= chunk.length;
    }
  }

  /**
   * Closes the log of a finished attempt, or makes a closed and empty one. `truncated` when the runner gave the log up.
   * Appends that are being written still count; later ones do not. Nothing happens when it is closed already.
   */
  async closeStream(
    tx: WriteTx,
    stream: StreamRef,
    { truncated, now }: { truncated: boolean; now: number },
  ): Promise<void> {
    const length = this.streams.known(stream)?.state?.committed ?? null;
    const changed = await closeOrInsertStream(tx, stream, { length, truncated, now, dueAt: this.#archiveAt(now) });
    if (changed) tx.afterCommit(() => this.#closed(stream, truncated, now));
  }

  /** The lease of an execution ended: its open logs close at `at`, truncated, when they did not close by themselves. */
  async scheduleClose(tx: WriteTx, executionId: string, { at }: { at: number }): Promise<void> {
    await scheduleOpenStreams(tx, executionId, at);
  }

  /** Closes what is due and answers when to call again; null when nothing is scheduled. Safe to call at any time. */
  async closeDue(now: number): Promise<number | null> {
    const { store } = this.#deps;
    for (;;) {
      const due = await store.read((tx) => dueStreams(tx, "open", now, CLOSE_BATCH));
      if (due.length === 0) return store.read((tx) => nextDueAt(tx, "open"));
      const lengths = await Promise.all(due.map((row) => this.#lengthBeforeClose(row)));
      await store.write(async (tx) => {
        for (const [index, row] of due.entries()) {
          const closing = { length: lengths[index] ?? null, truncated: true, now, dueAt: this.#archiveAt(now) };
          const changed = await closeOpenStream(tx, row, closing);
          if (changed) tx.afterCommit(() => this.#closed(row, true, now));
        }
      });
    }
  }

  /** Archives and deletes closed logs that are due, a few of them, and answers when to call again; null when there are none. */
  keepDue(now: number): Promise<number | null> {
    const { store, settings, log } = this.#deps;
    return keepClosedLogs({ store, settings, log, files: this.files, streams: this.streams }, now);
  }

  /** Removes the bytes of all logs of some executions, whose rows are deleted next. Safe to repeat. */
  async removeOfExecutions(executionIds: readonly string[]): Promise<void> {
    for (const row of await this.#deps.store.read((tx) => streamsOfExecutions(tx, executionIds))) {
      await this.streams.inTurn(row, () => this.files.remove(row));
      this.streams.forget(row);
    }
  }

  /** Wakes those who wait for a step to start, or to be past starting. Given every committed run event. */
  onRunEvents(events: readonly RunEvent[]): void {
    for (const runId of new Set(events.map((event) => event.runId))) if (runId !== null) this.hub.changed(runId);
  }

  /** Finishes what was accepted. Nothing may be asked afterwards. */
  async close(): Promise<void> {
    await this.streams.idle();
    await this.files.close();
  }

  async #append(entry: LoadedEntry, offset: number, chunk: Buffer, ends: boolean): Promise<Appended> {
    const before = entry.state;
    const state = before ?? NOTHING_YET;
    const now = this.#deps.clock.now();
    const usage = await this.#budgets.of(entry.stream);
    const answer = ({ committed, capped }: StreamState): Appended => {
      return { committedLength: committed, capped, budgetLeftBytes: this.#budgets.leftBytes(usage, now) };
    };
    if (chunk.length === 0) return answer(state);
    const overBudget = this.#budgets.leftBytes(usage, now) === 0;
    const decision = decideAppend(state, { offset, length: chunk.length, overBudget });
    if (decision === "gap") {
      throw new ApiError("offset-gap", `the log ends at byte ${state.committed}; go on from there`, {
        details: { committed_length: state.committed },
      });
    }
    try {
      if (decision === "store") await this.#keep(entry, chunk, ends, now);
      else if (decision === "drop") await this.#drop(entry, chunk.length, ends, now);
      // The process may have died between the bytes of an `end` and the close of its log.
      else if (ends && before && !before.closed) await this.#advance(entry, before, ends, now);
    } catch (error) {
      // Some of it may be done, bytes or row: whoever comes next looks at what is there.
      this.streams.forget(entry.stream);
      this.hub.changed(streamKey(entry.stream.stepId, entry.stream.attempt));
      throw error;
    }
    const after = entry.state ?? NOTHING_YET;
    usage.firstAppendAt ??= now;
    usage.storedBytes += after.stored - state.stored;
    this.#writtenBytes += after.stored - state.stored;
    this.#show(entry.stream, before, after, chunk);
    return answer(after);
  }

  async #keep(entry: LoadedEntry, chunk: Buffer, ends: boolean, now: number): Promise<void> {
    const { state, stream } = entry;
    if (!state) return this.#begin(entry, chunk, ends, now);
    // A process that died at the first append may have left the row of an open log without its file.
    if (state.stored === 0) await this.files.create(stream, chunk);
    else await this.files.append(stream, state.stored, chunk);
    const grown = { ...state, committed: state.committed + chunk.length, stored: state.stored + chunk.length };
    await this.#advance(entry, grown, ends, now);
  }

  async #drop(entry: LoadedEntry, length: number, ends: boolean, now: number): Promise<void> {
    const { stream } = entry;
    if (!entry.state) await this.#begin(entry, null, false, now);
    else if (!entry.state.capped) await this.#deps.store.write((tx) => markCapped(tx, stream.stepId, stream.attempt));
    const state = entry.state;
    if (!state || state.closed) return;
    await this.#advance(entry, { ...state, capped: true, committed: state.committed + length }, ends, now);
  }

  /** Takes over what was done. An `end` closes the log first: the repetition of a failed call must find it undone. */
  async #advance(entry: LoadedEntry, next: StreamState, ends: boolean, now: number): Promise<void> {
    const closing = { length: next.committed, truncated: false, now, dueAt: this.#archiveAt(now) };
    const closed = ends && (await this.#deps.store.write((tx) => closeOpenStream(tx, entry.stream, closing)));
    entry.state = closed ? { ...next, closed: true, closedAt: now } : next;
    if (closed) this.#seal(entry.stream);
  }

  /** The first append of a log, with its bytes, or without any when the job's budget is used up. */
  async #begin(entry: LoadedEntry, chunk: Buffer | null, ends: boolean, now: number): Promise<void> {
    const { stream } = entry;
    const length = chunk?.length ?? 0;
    const writing = chunk ? this.files.create(stream, chunk) : Promise.resolve();
    // A closed row without bytes would refuse them for ever, so these come first; an open one may come before them.
    if (ends) await writing;
    const row = {
      state: ends ? ("closed" as const) : ("open" as const),
      length: ends ? length : null,
      truncated: false,
      capped: !chunk,
      now,
    };
    const opening = this.#deps.store.write((tx) => this.#open(tx, stream, row));
    const [opened] = await bothSettled(opening, writing);
    if (!opened.kept) await this.files.remove(stream);
    entry.state = stateOf(opened.row, opened.kept ? length : 0);
    if (entry.state.closed) this.#seal(stream);
  }

  /** `kept` is false when the log was closed before, or too late to be opened. */
  async #open(
    tx: WriteTx,
    stream: StreamRef,
    row: Omit<NewStream, "dueAt">,
  ): Promise<{ row: StreamRow; kept: boolean }> {
    const endedAt = await this.#deps.leaseEndedAt(tx, stream.executionId);
    const dueAt = endedAt === null ? null : endedAt + this.#deps.settings.closeGraceMs;
    const late = dueAt !== null && dueAt <= row.now;
    const opened = await insertStream(
      tx,
      stream,
      late
        ? { state: "closed", length: 0, truncated: true, capped: false, dueAt: this.#archiveAt(row.now), now: row.now }
        : { ...row, dueAt: row.state === "open" ? dueAt : this.#archiveAt(row.now) },
    );
    return { row: opened.row, kept: opened.inserted && !late };
  }

  #archiveAt(closedAt: number): number {
    return closedAt + this.#deps.settings.archiveAfterMs;
  }

  #show(stream: StreamRef, before: StreamState | null, after: StreamState, chunk: Buffer): void {
    const topic = streamKey(stream.stepId, stream.attempt);
    if (!before) this.hub.changed(stream.runId);
    else if (after.stored > before.stored) this.hub.appended(topic, before.stored, chunk);
    if (after.closed !== before?.closed || after.capped !== before.capped) this.hub.changed(topic);
  }

  /** A unit closed the log: at once for whoever reads next, but behind the bytes that are being written. */
  #closed(stream: StreamRef, truncated: boolean, now: number): void {
    const entry = this.streams.known(stream);
    const close = (): void => {
      // What is not remembered is read from the row when it is needed.
      if (entry?.state !== undefined) {
        entry.state = { ...(entry.state ?? NOTHING_YET), closed: true, truncated, closedAt: now };
        this.#seal(stream);
      }
      this.hub.changed(streamKey(stream.stepId, stream.attempt));
      this.hub.changed(stream.runId);
    };
    if (entry && entry.waiting > 0) void entry.turn.then(close);
    else close();
  }

  #seal(stream: StreamRef): void {
    void this.streams
      .inTurn(stream, async (entry) => entry.state && this.files.seal(stream, entry.state.stored))
      .catch((error: unknown) => this.#deps.log.warn({ err: error }, "the file of a closed log was not sealed"));
  }

  /** A log whose file cannot be read is closed all the same. */
  async #lengthBeforeClose(row: StreamRow): Promise<number | null> {
    try {
      return (await this.streams.state(row)).committed;
    } catch (error) {
      this.#deps.log.error(
        { err: error, step_id: row.stepId, attempt: row.attempt },
        "the length of a log is not known",
      );
      return null;
    }
  }
}

/** Waits for both, also when one fails, so that nothing goes on in the background. */
async function bothSettled<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([a, b]);
  return [await a, await b];
}
