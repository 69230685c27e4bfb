import { execFile } from "node:child_process";
import type { Logger } from "../logger.ts";

const NOTIFY_LIMIT_MS = 10_000;
const MICROSECONDS_PER_MS = 1_000;
/** systemd's own advice is half of the time; a third forgives one lost message. */
const WATCHDOG_SHARE = 3;
/** When systemd does not take them, further messages are worth nothing. */
const MAX_PENDING = 8;
const STATUS_INTERVAL_MS = 5_000;
/** A daemon that only waits for its control plane or its engine is up: `systemctl start` must not hang for the outage. */
const READY_LIMIT_MS = 20_000;

export interface Service {
  readonly logger: Logger;
  /** How it is, in one line. */
  status(): string;
  /** Why it should be restarted; null while it is well. */
  whyStarved(): string | null;
  /** How long its stop may take, in milliseconds. */
  readonly stopLimitMs: number;
}

/**
 * Tells systemd how the service is, through `systemd-notify`, one message after another. Without NOTIFY_SOCKET every method does
 * nothing. The variables are taken out of our environment, so that no child can speak for the service.
 */
export class ServiceNotifier {
  private readonly service: Service;
  private readonly socket: string | null;
  private readonly timers: NodeJS.Timeout[] = [];
  private lastMessage: Promise<void> = Promise.resolve();
  private isReady = false;
  private isStopping = false;
  private lastStatus = "";
  private starved = "";
  private pending = 0;

  constructor(env: Record<string, string | undefined>, service: Service) {
    this.service = service;
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
    this.lastStatus = "";
    this.send(["READY=1", `STATUS=${what}`]);
  }

  /** The unit's own stop timeout need not know how long this one takes. */
  stopping(): void {
    if (this.isStopping) return;
    this.isStopping = true;
    const limitUsec = this.service.stopLimitMs * MICROSECONDS_PER_MS;
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
    this.lastStatus = `STATUS=${this.service.status().replaceAll(/\s+/g, " ")}`;
    return this.lastStatus;
  }

  private sendStatus(): void {
    const before = this.lastStatus;
    const line = this.statusLine();
    if (line !== before) this.send([line]);
  }

  /** An event loop that hangs feeds nothing either: this is one of its timers. */
  private feedWatchdog(): void {
    const reason = this.service.whyStarved();
    if (reason === null) this.send(["WATCHDOG=1"]);
    else if (reason !== this.starved) this.service.logger.error({ why: reason }, "the watchdog is not fed any more");
    this.starved = reason ?? "";
  }

  private send(message: readonly string[]): void {
    const { socket } = this;
    if (socket === null || this.pending >= MAX_PENDING) return;
    this.pending += 1;
    this.lastMessage = this.lastMessage.then(async () => {
      const error = await notify(socket, message);
      this.pending -= 1;
      if (error !== null) this.service.logger.warn({ error }, "systemd could not be told");
    });
  }
}

/** What went wrong; null when the message was taken. */
function notify(socket: string, message: readonly string[]): Promise<string | null> {
  const env = { NOTIFY_SOCKET: socket, PATH: process.env["PATH"] ?? "" };
  return new Promise((resolve) => {
    execFile("systemd-notify", [...message], { env, timeout: NOTIFY_LIMIT_MS }, (error, _stdout, stderr) =>
      resolve(error === null ? null : stderr || error.message),
    );
  });
}
