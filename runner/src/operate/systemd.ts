import type { Logger } from "@shipfox/shared/logger";
import { execa } from "execa";
import type { Monitor } from "./monitor.ts";
import { healthOf } from "./status.ts";

const NOTIFY_LIMIT_MS = 10_000;
const MICROSECONDS_PER_MS = 1_000;
/** systemd's own advice is half of the time; a third forgives one lost message. */
const WATCHDOG_SHARE = 3;
/** When systemd does not take them, further messages are worth nothing. */
const MAX_PENDING = 8;
const STATUS_INTERVAL_MS = 5_000;
/** A runner that only waits for its control plane or its engine is up: `systemctl start` must not hang for the outage. */
const READY_LIMIT_MS = 20_000;
/** Beyond the drain timeout: the grace of the jobs, their last log lines, the removal of their sandboxes. */
const STOP_MARGIN_MS = 120_000;

export interface SystemdOptions {
  monitor: Monitor;
  logger: Logger;
  drainTimeoutMs: number;
  outageLimitMs: number;
}

/**
 * Tells systemd how the service is, through `systemd-notify`, one message after another. Without NOTIFY_SOCKET every method does
 * nothing. The variables are taken out of our environment, so that no child can speak for the service.
 */
export class Systemd {
  private readonly options: SystemdOptions;
  private readonly socket: string | null;
  private readonly timers: NodeJS.Timeout[] = [];
  private lastMessage: Promise<void> = Promise.resolve();
  private isReady = false;
  private isStopping = false;
  private status = "";
  private starved = "";
  private pending = 0;

  constructor(env: Record<string, string | undefined>, options: SystemdOptions) {
    this.options = options;
    this.socket = env["NOTIFY_SOCKET"] || null;
    const watchdogUsec = Number(env["WATCHDOG_USEC"] ?? 0);
    const isForUs = env["WATCHDOG_PID"] === undefined || Number(env["WATCHDOG_PID"]) === process.pid;
    for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete env[name];
    if (this.socket === null) return;
    this.every(STATUS_INTERVAL_MS, () => this.sendStatus());
    if (watchdogUsec > 0 && isForUs)
      this.every(watchdogUsec / MICROSECONDS_PER_MS / WATCHDOG_SHARE, () => this.feedWatchdog());
    const timer = setTimeout(() => this.ready(), READY_LIMIT_MS);
    this.timers.push(timer.unref());
  }

  ready(): void {
    if (this.isReady || this.isStopping) return;
    this.isReady = true;
    this.send(["READY=1", this.statusLine()]);
  }

  reloading(): void {
    const monotonicUsec = process.hrtime.bigint() / 1_000n;
    this.send(["RELOADING=1", `MONOTONIC_USEC=${monotonicUsec}`]);
  }

  reloaded(what: string): void {
    this.status = "";
    this.send(["READY=1", `STATUS=${what}`]);
  }

  /** The unit's own stop timeout need not know the drain timeout. */
  stopping(): void {
    if (this.isStopping) return;
    this.isStopping = true;
    const limitUsec = (this.options.drainTimeoutMs + STOP_MARGIN_MS) * MICROSECONDS_PER_MS;
    this.send(["STOPPING=1", `EXTEND_TIMEOUT_USEC=${limitUsec}`, this.statusLine()]);
  }

  /** After the last message has gone out. */
  async close(): Promise<void> {
    for (const timer of this.timers) clearTimeout(timer);
    await this.lastMessage;
  }

  private every(intervalMs: number, work: () => void): void {
    this.timers.push(setInterval(work, intervalMs).unref());
  }

  private statusLine(): string {
    const { monitor } = this.options;
    const { state, reason } = healthOf(monitor);
    const jobs = `${monitor.running.size} of ${monitor.concurrency} jobs running`;
    this.status = `STATUS=${state}${reason === null ? "" : `: ${reason.replaceAll(/\s+/g, " ")}`}; ${jobs}`;
    return this.status;
  }

  private sendStatus(): void {
    const before = this.status;
    const line = this.statusLine();
    if (line !== before) this.send([line]);
  }

  /** An event loop that hangs feeds nothing either: this is one of its timers. */
  private feedWatchdog(): void {
    const { monitor, logger, outageLimitMs } = this.options;
    const reason = whyStarved(monitor, outageLimitMs);
    if (reason === null) this.send(["WATCHDOG=1"]);
    else if (reason !== this.starved) logger.error({ why: reason }, "the watchdog is not fed any more");
    this.starved = reason ?? "";
  }

  private send(message: readonly string[]): void {
    const { socket } = this;
    if (socket === null || this.pending >= MAX_PENDING) return;
    this.pending += 1;
    this.lastMessage = this.lastMessage.then(async () => {
      const result = await execa("systemd-notify", [...message], {
        env: { NOTIFY_SOCKET: socket, PATH: process.env["PATH"] ?? "" },
        extendEnv: false,
        timeout: NOTIFY_LIMIT_MS,
        reject: false,
        stdin: "ignore",
      });
      this.pending -= 1;
      if (result.exitCode !== 0)
        this.options.logger.warn({ error: result.stderr || result.shortMessage }, "systemd could not be told");
    });
  }
}

/**
 * Why systemd should restart the runner, or null. An outage of the control plane is waited out: by the jobs themselves, which end
 * after the outage limit, and by an idle runner for as long.
 */
export function whyStarved(monitor: Monitor, outageLimitMs: number): string | null {
  if (monitor.stuckReason !== null) return monitor.stuckReason;
  const { outageMs } = monitor;
  if (outageMs !== null && outageMs > outageLimitMs && monitor.running.size === 0)
    return `no contact with the control plane for ${Math.round(outageMs / 1000)} s`;
  return null;
}
