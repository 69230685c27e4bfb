import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "@shipfox/client";
import { backOff } from "@shipfox/client/back-off";
import { ClientError } from "@shipfox/client/client-error";
import { type RunDetail, TERMINAL_STATUSES } from "@shipfox/shared/api/runs";
import type { LogRecord } from "@shipfox/shared/log-records";
import { type LogEvent, type OutputEvent, planOutput } from "./plan-output.ts";

/** Waits between two looks at the run; anything new starts again at the first. */
const POLL_DELAYS_MS = [250, 500, 1_000, 1_500, 2_000] as const;
const POLL_JITTER = 0.2;
/** How long the control plane may be out of reach before following is given up. */
const OUTAGE_MS = 120_000;
/**
 * A stream may stay open up to two minutes after its job's lease ended (a lost runner may come back with the tail).
 * Once the execution has ended, so much silence means that nothing more comes soon.
 */
const TAIL_SILENCE_MS = 3_000;

/** Shows what happens. Calls of one lane come one after another, in order; lanes are interleaved between calls. */
export interface FollowSink {
  /** The run as it is now; before the events that this brings. */
  look?(run: RunDetail): void;
  event(event: OutputEvent): Promise<void>;
  records(log: LogEvent, records: LogRecord[]): Promise<void>;
  /** After the last record. `truncated`: the runner stopped reporting. `complete` is false when the end was not awaited. */
  logEnded(log: LogEvent, end: { truncated: boolean; complete: boolean }): Promise<void>;
  /** About following itself: lost connections and the like. */
  notice(text: string): void;
}

export interface FollowOptions {
  api: Client;
  runId: string;
  sink: FollowSink;
  /** Aborting detaches: the run goes on. */
  signal: AbortSignal;
  /** Which events are shown; logs of others are not read. All when absent. */
  accepts?: (event: OutputEvent) => boolean;
  tailSilenceMs?: number;
}

/**
 * Follows a run to its end and returns its last state, or null when `signal` was aborted. Throws ClientError when the control plane refuses or stays away.
 */
export async function followRun(options: FollowOptions): Promise<RunDetail | null> {
  const { signal, accepts = () => true } = options;
  const follower = new LaneFollower(options);
  let shown: RunDetail | null = null;
  let quietLooks = 0;
  try {
    for (;;) {
      const wake = follower.nextLogEnd();
      const run = await lookAtRun(options);
      if (!run) return null;
      options.sink.look?.(run);
      const events = planOutput(shown, run).filter(accepts);
      shown = run;
      const ended = TERMINAL_STATUSES.has(run.status);
      for (const event of events) {
        if (event.type === "run" && ended) await follower.drain(endedLanes(run));
        follower.show(event);
      }
      if (ended) {
        await follower.drain(endedLanes(run));
        return signal.aborted ? null : run;
      }
      follower.giveUpSilentTails(endedLanes(run));
      quietLooks = events.length > 0 ? 0 : quietLooks + 1;
      const woken = await waitForNews(pollDelay(quietLooks), wake, signal);
      if (woken) quietLooks = 0;
      if (signal.aborted) return null;
      follower.rethrow();
    }
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  } finally {
    await follower.stop();
  }
}

async function lookAtRun({ api, runId, sink, signal }: FollowOptions): Promise<RunDetail | null> {
  const since = performance.now();
  for (let failures = 0; ; ) {
    try {
      const run = await api.runs.get({ id: runId }, { signal });
      if (failures > 0) sink.notice("The control plane answers again.");
      return run;
    } catch (error) {
      if (signal.aborted) return null;
      if (!(error instanceof ClientError && error.isTransient) || performance.now() - since > OUTAGE_MS) throw error;
      failures += 1;
      if (failures === 1) sink.notice(`${error.message} Trying again; the run itself goes on.`);
      await backOff(failures, signal, error).catch(() => undefined);
    }
  }
}

function endedLanes(run: RunDetail): Set<string> {
  const executions = run.jobs.flatMap((job) => job.job_executions);
  return new Set(executions.filter((execution) => TERMINAL_STATUSES.has(execution.status)).map(({ id }) => id));
}

function pollDelay(quietLooks: number): number {
  const delay = POLL_DELAYS_MS[Math.min(quietLooks, POLL_DELAYS_MS.length - 1)] as number;
  return delay * (1 - POLL_JITTER + Math.random() * 2 * POLL_JITTER);
}

/** True when the wait was cut short by news. */
async function waitForNews(milliseconds: number, news: Promise<void>, signal: AbortSignal): Promise<boolean> {
  const timer = new AbortController();
  const timeout = sleep(milliseconds, false, { signal: AbortSignal.any([signal, timer.signal]) }).catch(() => false);
  const woken = await Promise.race([timeout, news.then(() => true)]);
  timer.abort();
  return woken;
}

interface OpenLog {
  lane: string;
  abort: AbortController;
  lastSign: number;
  connected: boolean;
}

/** Keeps each lane in order (a step's end is shown after the last line of its log) while lanes run side by side. */
class LaneFollower {
  readonly #options: FollowOptions;
  readonly #lanes = new Map<string, Promise<void>>();
  readonly #open = new Set<OpenLog>();
  readonly #endedSince = new Map<string, number>();
  #stopped = false;
  #failure: Error | null = null;
  #logEnd = Promise.withResolvers<void>();

  constructor(options: FollowOptions) {
    this.#options = options;
  }

  /** Resolves when the next log ends, which is when the run is worth another look, or when following failed. */
  nextLogEnd(): Promise<void> {
    this.#logEnd = Promise.withResolvers<void>();
    return this.#logEnd.promise;
  }

  show(event: OutputEvent): void {
    const lane = event.type === "run" ? "" : event.lane;
    const before = this.#lanes.get(lane) ?? Promise.resolve();
    const after = before
      .then(async () => {
        if (this.#detached()) return;
        if (event.type === "log") await this.#showLog(event);
        else await this.#options.sink.event(event);
      })
      .catch((error: unknown) => {
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
        this.#logEnd.resolve();
      });
    this.#lanes.set(lane, after);
  }

  rethrow(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  /** Waits until everything was shown; tails of `ended` lanes only as long as they speak. */
  async drain(ended: ReadonlySet<string>): Promise<void> {
    const silence = this.#options.tailSilenceMs ?? TAIL_SILENCE_MS;
    const check = setInterval(() => this.giveUpSilentTails(ended), silence / 4);
    try {
      await Promise.all(this.#lanes.values());
    } finally {
      clearInterval(check);
    }
    this.rethrow();
  }

  giveUpSilentTails(ended: ReadonlySet<string>): void {
    const silence = this.#options.tailSilenceMs ?? TAIL_SILENCE_MS;
    const now = performance.now();
    for (const lane of ended) if (!this.#endedSince.has(lane)) this.#endedSince.set(lane, now);
    for (const log of this.#open) {
      const silentSince = Math.max(log.lastSign, this.#endedSince.get(log.lane) ?? now);
      if (log.connected && now - silentSince > silence) log.abort.abort();
    }
  }

  /** Closes every stream and waits for the lanes, so that nothing is written afterwards. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const log of this.#open) log.abort.abort();
    await Promise.all(this.#lanes.values());
  }

  async #showLog(event: LogEvent): Promise<void> {
    const { api, sink, signal } = this.#options;
    const log: OpenLog = {
      lane: event.lane,
      abort: new AbortController(),
      lastSign: performance.now(),
      connected: false,
    };
    this.#open.add(log);
    const end = { truncated: false, complete: false };
    try {
      const stream = api.logs.follow(
        { stepId: event.step_id, attempt: event.attempt },
        { signal: AbortSignal.any([signal, log.abort.signal]) },
      );
      for await (const item of stream) {
        log.connected = item.kind !== "reconnecting";
        if (item.kind === "records") await sink.records(event, item.records);
        if (item.kind === "end") Object.assign(end, { truncated: item.truncated, complete: true });
        log.lastSign = performance.now();
      }
    } catch (error) {
      // The log is past its retention time, or was never begun.
      if (!(error instanceof ClientError && error.status === 404)) throw error;
      end.complete = true;
    } finally {
      this.#open.delete(log);
    }
    if (!this.#detached()) await sink.logEnded(event, end);
    this.#logEnd.resolve();
  }

  #detached(): boolean {
    return this.#stopped || this.#options.signal.aborted;
  }
}
