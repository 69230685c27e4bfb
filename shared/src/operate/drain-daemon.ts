import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError } from "../config.ts";
import type { ControlClient } from "./control-client.ts";
import { explainFailure } from "./control-failure.ts";
import { EXIT_COMMAND_FAILED, EXIT_INTERRUPTED, EXIT_NOT_YET, EXIT_OK } from "./exit-status.ts";
import { oneLine, type Output } from "./output.ts";
import { ProgressLine } from "./progress-line.ts";

const LOOK_INTERVAL_MS = 1_000;
const DAY_S = 24 * 3_600;
const MAX_WAIT_SECONDS = 30 * DAY_S;

/** The value of `--wait` in milliseconds; a day without one. Throws ConfigError on nonsense. */
export function parseWait(value: string | boolean | undefined): number {
  const seconds = Number(value ?? DAY_S);
  if (value === "" || !Number.isFinite(seconds) || seconds < 0 || seconds > MAX_WAIT_SECONDS)
    throw new ConfigError(`--wait: expected seconds between 0 and ${MAX_WAIT_SECONDS}`);
  return seconds * 1_000;
}

/** What a daemon that drains still waits for. */
export interface Remaining {
  /** A sentence without its end. */
  readonly text: string;
  /** Stands for it without what only counts time: a log shows each once. */
  readonly mark: string;
  /** For `--json`. */
  readonly document: object;
}

export interface Drainage<Status> {
  /** As people call it, such as "runner"; the program is `shipfox-<name>`. */
  readonly name: string;
  readonly client: ControlClient<Status>;
  readonly describe: (status: Status) => Remaining;
  readonly json: boolean;
  /** 0 starts the drain and returns. */
  readonly waitMs: number;
  /** Aborted by Ctrl-C. */
  readonly interrupted: AbortSignal;
}

/** Tells a daemon to drain, and shows what it waits for until it has ended or the time is over. Answers the exit status. */
export async function drainDaemon<Status>(drainage: Drainage<Status>, output: Output): Promise<number> {
  const { client, name, waitMs, interrupted } = drainage;
  const progress = new Progress(drainage, output);
  const stop = new AbortController();
  try {
    // Asked for first: the daemon may be gone a moment after it was told.
    const ended = client.ended(stop.signal).then(
      (exitStatus) => ({ exitStatus }),
      () => null,
    );
    progress.show(await client.drain());
    if (waitMs === 0) {
      progress.finish();
      return EXIT_OK;
    }
    const signal = AbortSignal.any([interrupted, AbortSignal.timeout(waitMs)]);
    const end = await Promise.race([ended, watch(client, progress, signal)]);
    if (end !== null) return progress.tellEnd(end.exitStatus);
    progress.tellLeft(interrupted.aborted);
    return interrupted.aborted ? EXIT_INTERRUPTED : EXIT_NOT_YET;
  } catch (error) {
    return explainFailure(error, `shipfox-${name}`, output);
  } finally {
    stop.abort();
  }
}

/** Null when `signal` was aborted. Never rejects: a daemon that is gone is told by the one who waits for its end. */
async function watch<Status>(
  client: ControlClient<Status>,
  progress: Progress<Status>,
  signal: AbortSignal,
): Promise<null> {
  while (!signal.aborted) {
    await sleep(LOOK_INTERVAL_MS, undefined, { signal }).catch(() => {});
    if (signal.aborted) break;
    const status = await client.status().catch(() => null);
    if (status !== null) progress.show(status);
  }
  return null;
}

class Progress<Status> {
  private readonly drainage: Drainage<Status>;
  private readonly output: Output;
  private readonly line: ProgressLine;

  constructor(drainage: Drainage<Status>, output: Output) {
    this.drainage = drainage;
    this.output = output;
    // A document is a line of its own, also on a terminal.
    this.line = new ProgressLine(drainage.json ? { ...output, isTerminal: false } : output);
  }

  show(status: Status): void {
    const { text, mark, document } = this.drainage.describe(status);
    if (this.drainage.json) this.line.show(JSON.stringify({ state: "draining", ...document }), mark);
    else this.line.show(oneLine(text), mark);
  }

  finish(): void {
    this.line.finish();
  }

  tellEnd(exitStatus: number | null): number {
    const { json, name } = this.drainage;
    if (json) this.line.say(JSON.stringify({ state: "ended", exit_status: exitStatus }));
    else if (exitStatus === 0) this.line.say(this.output.color("green", `drained: the ${name} has ended`));
    else {
      const text =
        exitStatus === null
          ? `the ${name} went away before it was drained`
          : `the ${name} ended with status ${exitStatus}`;
      this.line.say(this.output.color("red", text));
    }
    return exitStatus === 0 ? EXIT_OK : EXIT_COMMAND_FAILED;
  }

  tellLeft(wasInterrupted: boolean): void {
    const { name } = this.drainage;
    this.finish();
    const why = wasInterrupted ? "interrupted" : "the time is over";
    this.output.note(`${why}; the ${name} goes on draining. "shipfox-${name} drain" watches it again.`);
  }
}
