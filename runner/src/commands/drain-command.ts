import { setTimeout as sleep } from "node:timers/promises";
import { ConfigError } from "@shipfox/shared/config";
import { ControlClient } from "@shipfox/shared/operate/control-client";
import type { Status } from "../operate/status.ts";
import { EXIT_COMMAND_FAILED, EXIT_INTERRUPTED, EXIT_NOT_YET, EXIT_OK } from "@shipfox/shared/operate/exit-status";
import { formatSeconds, oneLine, type Output } from "@shipfox/shared/operate/output";
import { explainFailure, RUNNER } from "./status-command.ts";

export const DRAIN_HELP = `Usage: shipfox-runner drain [--wait SECONDS] [--json] [--state-dir DIR | --config-file FILE]

Lets the runner of this machine finish what it has: it claims no more jobs, and ends when the last one is over. Jobs that
run longer than its drain timeout are handed back and run elsewhere. Shows what it still waits for until then.
Ctrl-C stops the showing, not the draining.

  --wait SECONDS  wait no longer than this; 0 starts the drain and returns

Examples:
  shipfox-runner drain
  shipfox-runner drain --wait 0
  shipfox-runner drain --wait 600 || systemctl kill --signal=SIGKILL shipfox-runner

Exit status:
  0    the runner has ended with every job finished or handed back; with --wait 0: it is draining
  1    it could not be asked, or it ended otherwise
  3    it is still draining and the time is over
  4    no runner is running here
  130  Ctrl-C: it goes on draining`;

const LOOK_INTERVAL_MS = 1_000;
const MAX_WAIT_SECONDS = 30 * 24 * 3_600;

/** Milliseconds, or null for as long as it takes. Throws ConfigError on nonsense. */
export function parseWait(value: string | boolean | undefined): number | null {
  if (value === undefined) return null;
  const seconds = Number(value);
  if (value === "" || !Number.isFinite(seconds) || seconds < 0 || seconds > MAX_WAIT_SECONDS)
    throw new ConfigError(`--wait: expected seconds between 0 and ${MAX_WAIT_SECONDS}`);
  return seconds * 1000;
}

export interface DrainOptions {
  json: boolean;
  /** Null is as long as it takes. */
  waitMs: number | null;
  /** Aborted by Ctrl-C. */
  interrupted: AbortSignal;
}

export async function drainCommand(stateFolder: string, options: DrainOptions, output: Output): Promise<number> {
  const client = new ControlClient(stateFolder, RUNNER);
  const progress = new Progress(output, options.json);
  const stop = new AbortController();
  try {
    // Asked for first: the daemon may be gone a moment after it was told.
    const ended = client.ended(stop.signal).then(
      (exitStatus) => ({ exitStatus }),
      () => null,
    );
    progress.show(await client.drain());
    if (options.waitMs === 0) {
      progress.finish();
      return EXIT_OK;
    }
    const limit = options.waitMs === null ? [] : [AbortSignal.timeout(options.waitMs)];
    const signal = AbortSignal.any([options.interrupted, ...limit]);
    const end = await Promise.race([ended, watch(client, progress, signal)]);
    if (end !== null) return progress.tellEnd(end.exitStatus);
    progress.tellLeft(options.interrupted.aborted);
    return options.interrupted.aborted ? EXIT_INTERRUPTED : EXIT_NOT_YET;
  } catch (error) {
    return explainFailure(error, output);
  } finally {
    stop.abort();
  }
}

/** Null when `signal` was aborted. Never rejects: a daemon that is gone is told by the one who waits for its end. */
async function watch(client: ControlClient<Status>, progress: Progress, signal: AbortSignal): Promise<null> {
  while (!signal.aborted) {
    await sleep(LOOK_INTERVAL_MS, undefined, { signal }).catch(() => {});
    if (signal.aborted) break;
    const status = await client.status().catch(() => null);
    if (status !== null) progress.show(status);
  }
  return null;
}

/** One line on a terminal that is written over; elsewhere a line when the number of jobs changes. */
class Progress {
  private readonly output: Output;
  private readonly json: boolean;
  private lastJobs = -1;

  constructor(output: Output, json: boolean) {
    this.output = output;
    this.json = json;
  }

  show(status: Status): void {
    const jobs = status.jobs.length;
    if ((!this.output.isTerminal || this.json) && jobs === this.lastJobs) return;
    this.lastJobs = jobs;
    if (this.json) return this.output.print(JSON.stringify({ state: "draining", jobs: status.jobs }));
    const since = status.draining_since === null ? 0 : (Date.now() - Date.parse(status.draining_since)) / 1000;
    const names = status.jobs.map((job) => `${job.job ?? job.job_id} (${job.step?.name ?? "starting"})`);
    const left = jobs === 0 ? "cleaning up" : `${jobs} ${jobs === 1 ? "job" : "jobs"} left: ${names.join(", ")}`;
    this.line(`draining for ${formatSeconds(since)}; ${oneLine(left)}`);
  }

  finish(): void {
    if (this.output.isTerminal && !this.json) process.stdout.write("\n");
  }

  tellEnd(exitStatus: number | null): number {
    if (this.json) this.output.print(JSON.stringify({ state: "ended", exit_status: exitStatus }));
    else if (exitStatus === 0) this.line(this.output.color("green", "drained: the runner has ended"));
    else
      this.line(
        this.output.color(
          "red",
          exitStatus === null
            ? "the runner went away before it was drained"
            : `the runner ended with status ${exitStatus}`,
        ),
      );
    this.finish();
    return exitStatus === 0 ? EXIT_OK : EXIT_COMMAND_FAILED;
  }

  tellLeft(wasInterrupted: boolean): void {
    this.finish();
    const why = wasInterrupted ? "interrupted" : "the time is over";
    this.output.note(`${why}; the runner goes on draining. "shipfox-runner drain" watches it again.`);
  }

  private line(text: string): void {
    if (this.output.isTerminal) process.stdout.write(`\r\u001b[K${text}`);
    else this.output.print(text);
  }
}
