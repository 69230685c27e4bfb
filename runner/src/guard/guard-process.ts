import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { fileURLToPath } from "node:url";
import type { Logger } from "@shipfox/shared/logger";
import type { CallObserver } from "../control-plane/client.ts";
import type { Lifeline, Lifelines } from "../sandbox/lifelines.ts";
import { SandboxError } from "../sandbox/sandbox-error.ts";
import type { FromGuard, GuardStart, LeaseNews, LeaseOrder, ToGuard } from "./messages.ts";

const GUARD_FILE = fileURLToPath(new URL("../guard.ts", import.meta.url));
const START_LIMIT_MS = 30_000;
const END_LIMIT_MS = 7_000;
/** Before everything that jobs start; only root may ask for it. */
const PRIORITY = -10;
/** Small heaps: the guard holds tokens, sockets and little else. */
const NODE_OPTIONS = ["--max-old-space-size=64", "--max-semi-space-size=1"];

export interface GuardOptions extends GuardStart {
  /** Learns how the heartbeats go. */
  observer?: Pick<CallObserver, "answered" | "notAnswered" | "heartbeatAnswered">;
  logger: Logger;
}

/** A lease as the guard holds it. */
export interface GuardedLease {
  useToken(token: string, step: number): void;
  confirmPause(): void;
  end(): void;
}

/** What a job needs of the guard. */
export interface LeaseKeeper {
  /** Renews a lease until it is ended; `onNews` hears of it in order. */
  keepLease(order: LeaseOrder, onNews: (news: LeaseNews) => void): GuardedLease;
}

export interface GuardStatus {
  pid: number;
  isAlive: boolean;
  leases: { jobId: string; contact: "held" | "plane_down" | "paused"; answeredAgoMs: number }[];
}

interface LeaseRecord {
  readonly jobId: string;
  readonly onNews: (news: LeaseNews) => void;
  contact: "held" | "plane_down" | "paused";
  answeredAt: number;
}

/** The runner's end of its guard process. */
export class Guard implements Lifelines, LeaseKeeper {
  readonly #child: ChildProcess;
  readonly #logger: Logger;
  readonly #observer: GuardOptions["observer"] | null;
  readonly #lost = new AbortController();
  readonly #lines = new Map<number, PromiseWithResolvers<void>>();
  readonly #leases = new Map<number, LeaseRecord>();
  readonly #ended: Promise<unknown>;
  #count = 0;
  #isClosing = false;

  private constructor(child: ChildProcess, logger: Logger, observer: GuardOptions["observer"] | null) {
    this.#child = child;
    this.#observer = observer;
    this.#logger = logger;
    this.#ended = once(child, "exit");
    child.on("error", (error) => logger.error({ error: error.message }, "the guard process cannot be talked to"));
    child.on("message", (message: FromGuard) => this.#hear(message));
    // Sooner than `exit`: what hung on its lines is dying now.
    child.once("disconnect", () => this.#onGone());
    child.once("exit", () => this.#onGone());
  }

  /**
   * Starts the guard and waits until it listens. When the main loop of this process does not answer it for
   * `standstillLimitMs`, the guard lets go of all lines; after three quarters of that it stops renewing leases.
   */
  static async start({ logger, observer, ...start }: GuardOptions): Promise<Guard> {
    // Nothing of our environment but what TLS needs; a token would be readable there.
    const authorities = process.env["NODE_EXTRA_CA_CERTS"];
    const child = fork(GUARD_FILE, [], {
      execArgv: NODE_OPTIONS,
      env: authorities === undefined ? {} : { NODE_EXTRA_CA_CERTS: authorities },
      cwd: "/",
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    });
    const guard = new Guard(child, logger, observer ?? null);
    guard.#send({ kind: "start", start });
    await guard.#ready();
    raisePriority(guard.pid);
    logger.info({ guard_pid: guard.pid }, "guard started");
    return guard;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Aborted when the guard is gone without having been told to. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  status(): GuardStatus {
    const now = performance.now();
    return {
      pid: this.pid,
      isAlive: !this.#lost.signal.aborted && !this.#isClosing,
      leases: [...this.#leases.values()].map(({ jobId, contact, answeredAt }) => ({
        jobId,
        contact,
        answeredAgoMs: Math.round(now - answeredAt),
      })),
    };
  }

  holdContainer(engine: string, containerId: string): Promise<Lifeline> {
    return this.#hold((id) => ({ kind: "hold_container", id, engine, container: containerId }));
  }

  holdPipe(path: string): Promise<Lifeline> {
    return this.#hold((id) => ({ kind: "hold_pipe", id, path }));
  }

  holdProcesses(mark: string): Promise<Lifeline> {
    return this.#hold((id) => ({ kind: "hold_processes", id, mark }));
  }

  keepLease(order: LeaseOrder, onNews: (news: LeaseNews) => void): GuardedLease {
    const id = ++this.#count;
    this.#leases.set(id, { jobId: order.jobId, onNews, contact: "held", answeredAt: performance.now() });
    this.#send({ kind: "lease", id, order });
    return {
      useToken: (token, step) => this.#send({ kind: "token", id, token, step }),
      confirmPause: () => this.#send({ kind: "paused", id }),
      end: () => {
        if (this.#leases.delete(id)) this.#send({ kind: "end_lease", id });
      },
    };
  }

  /** Ends the guard, and what still hangs on it. Idempotent. */
  async close(): Promise<void> {
    this.#isClosing = true;
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), END_LIMIT_MS);
    await this.#ended;
    clearTimeout(timer);
  }

  async #ready(): Promise<void> {
    const limit = AbortSignal.timeout(START_LIMIT_MS);
    const gone = this.#ended.then(() => {
      throw new Error("the guard process ended at once");
    });
    gone.catch(() => {});
    try {
      // Nothing else can be its first message but a ping, which comes later.
      await Promise.race([once(this.#child, "message", { signal: limit }), gone]);
    } catch (error) {
      this.#isClosing = true;
      this.#child.kill("SIGKILL");
      throw new Error(`The runner's guard process does not start: ${(error as Error).message}`, { cause: error });
    }
  }

  async #hold(message: (id: number) => ToGuard): Promise<Lifeline> {
    const id = ++this.#count;
    const held = Promise.withResolvers<void>();
    if (!this.#child.connected) throw guardGone();
    this.#lines.set(id, held);
    this.#send(message(id));
    const release = () => this.#send({ kind: "release", id });
    await held.promise;
    return { release };
  }

  #hear(message: FromGuard): void {
    switch (message.kind) {
      case "ready":
        return;
      case "ping":
        return this.#send({ kind: "pong" });
      case "held": {
        const held = this.#lines.get(message.id);
        this.#lines.delete(message.id);
        if (message.fault === null) held?.resolve();
        else held?.reject(new SandboxError("start_failed", `Cannot hold a job's lifeline: ${message.fault}`));
        return;
      }
      case "lease_news":
        return this.#hearOfLease(message.id, message.news);
    }
  }

  #hearOfLease(id: number, news: LeaseNews): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    if (news.kind === "answered") {
      lease.answeredAt = performance.now();
      this.#observer?.answered();
      this.#observer?.heartbeatAnswered(lease.jobId);
    }
    if (news.kind === "unanswered") this.#observer?.notAnswered(news.error);
    if (news.kind === "resume" || (news.kind === "answered" && lease.contact === "plane_down")) lease.contact = "held";
    if (news.kind === "plane_down") lease.contact = "plane_down";
    if (news.kind === "pause") lease.contact = "paused";
    lease.onNews(news);
  }

  #onGone(): void {
    for (const line of this.#lines.values()) line.reject(guardGone());
    this.#lines.clear();
    if (this.#isClosing || this.#lost.signal.aborted) return;
    this.#logger.error({ guard_pid: this.pid }, "the guard process is gone, and with it the containers it held");
    this.#lost.abort();
  }

  /** What cannot be said to a guard that is gone need not be said: all it held has ended. */
  #send(message: ToGuard): void {
    if (this.#child.connected) this.#child.send(message, () => {});
  }
}

function guardGone(): SandboxError {
  return new SandboxError("sandbox_lost", "The runner's guard process is gone; the runner is stopping.");
}

function raisePriority(pid: number): void {
  try {
    setPriority(pid, PRIORITY);
  } catch {
    // Not root: as good as the others, and it needs little.
  }
}
