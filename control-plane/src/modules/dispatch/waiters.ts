import { monotonic } from "../../store/clock.ts";
import type { Session } from "./sessions.ts";
import { CLAIM_RETRY_MS } from "./settings.ts";

const SWEEP_INTERVAL_MS = 500;

/**
 * Why a parked claim goes on: somebody queued a job it could take, it is time to look again, its session was ended or
 * drained or its workspace opened, or it is over.
 */
export type Wake =
  | { readonly kind: "job"; readonly labelSetId: string }
  | { readonly kind: "retry" | "session" }
  | { readonly kind: "over" };

interface Waiter {
  readonly session: Session;
  readonly key: string | null;
  readonly deadline: number;
  retryAt: number;
  resolve: ((wake: Wake) => void) | null;
  /** A wake that came while the waiter was looking. */
  pending: Wake | null;
  over: boolean;
}

/**
 * Parked claims. A waiter registers before it looks, so that a job queued meanwhile is not missed; each queued job wakes
 * one waiter; a woken waiter that got nothing hands the wake on. One sweep serves all time-outs.
 */
export class Waiters {
  readonly #waiters = new Set<Waiter>();
  readonly #bySet = new Map<string, Set<Waiter>>();
  #sweep: NodeJS.Timeout | null = null;
  #stopped = false;

  get size(): number {
    return this.#waiters.size;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  park(session: Session, key: string | null, waitMs: number, signal: AbortSignal): Waiter {
    if (key !== null) {
      for (const other of this.#waiters) if (other.session === session && other.key === key) this.#finish(other);
    }
    const now = monotonic();
    const waiter: Waiter = {
      session,
      key,
      deadline: now + waitMs,
      retryAt: now + retryDelay(),
      resolve: null,
      pending: null,
      over: this.#stopped || signal.aborted,
    };
    this.#waiters.add(waiter);
    session.parkedClaims += 1;
    for (const setId of session.satisfied) this.watch(waiter, setId);
    signal.addEventListener("abort", () => this.#finish(waiter), { once: true });
    this.#sweep ??= setInterval(() => this.#lookAtTimes(), SWEEP_INTERVAL_MS).unref();
    return waiter;
  }

  /** The session's waiters also want jobs of a label set that is new. */
  watchNewSet(session: Session, setId: string): void {
    if (session.parkedClaims === 0) return;
    for (const waiter of this.#waiters) if (waiter.session === session) this.watch(waiter, setId);
  }

  /** The session's labels changed: its waiters want other jobs than those of `before`, and look again at once. */
  rewatch(session: Session, before: readonly string[]): void {
    for (const waiter of this.#waiters) {
      if (waiter.session !== session) continue;
      for (const setId of before) this.#unwatch(waiter, setId);
      for (const setId of session.satisfied) this.watch(waiter, setId);
      if (waiter.pending?.kind === "job") this.wakeOne(waiter.pending.labelSetId);
    }
    this.wakeSession(session);
  }

  watch(waiter: Waiter, setId: string): void {
    const watching = this.#bySet.get(setId) ?? new Set();
    this.#bySet.set(setId, watching.add(waiter));
  }

  next(waiter: Waiter): Promise<Wake> {
    if (waiter.over) return Promise.resolve({ kind: "over" });
    const pending = waiter.pending;
    waiter.pending = null;
    if (pending) return Promise.resolve(pending);
    return new Promise((resolve) => {
      waiter.resolve = resolve;
    });
  }

  leave(waiter: Waiter): void {
    if (!this.#waiters.delete(waiter)) return;
    waiter.over = true;
    waiter.session.parkedClaims -= 1;
    for (const setId of waiter.session.satisfied) this.#unwatch(waiter, setId);
    if (waiter.pending?.kind === "job") this.wakeOne(waiter.pending.labelSetId);
  }

  /** Wakes the longest waiting claim that wants this set; when all are just looking, one of them looks again. */
  wakeOne(labelSetId: string): void {
    let looking: Waiter | undefined;
    for (const waiter of this.#bySet.get(labelSetId) ?? []) {
      if (waiter.over || waiter.pending) continue;
      if (waiter.resolve) {
        this.#tell(waiter, { kind: "job", labelSetId });
        return;
      }
      looking ??= waiter;
    }
    if (looking) looking.pending = { kind: "job", labelSetId };
  }

  /** Ends the parked claims of a session that was ended, revoked or drained: they look once more and learn why. */
  wakeSession(session: Session): void {
    for (const waiter of this.#waiters) if (waiter.session === session) this.#tell(waiter, { kind: "session" });
  }

  /** The workspace was opened again: what was queued meanwhile woke nobody who could take it. */
  wakeWorkspace(workspaceId: string): void {
    for (const waiter of this.#waiters)
      if (waiter.session.workspaceId === workspaceId) this.#tell(waiter, { kind: "session" });
  }

  stop(): void {
    this.#stopped = true;
    if (this.#sweep) clearInterval(this.#sweep);
    for (const waiter of this.#waiters) this.#finish(waiter);
  }

  #unwatch(waiter: Waiter, setId: string): void {
    const watching = this.#bySet.get(setId);
    watching?.delete(waiter);
    if (watching?.size === 0) this.#bySet.delete(setId);
  }

  #tell(waiter: Waiter, wake: Wake): void {
    if (waiter.resolve) {
      const { resolve } = waiter;
      waiter.resolve = null;
      resolve(wake);
    } else waiter.pending = wake;
  }

  #finish(waiter: Waiter): void {
    if (waiter.over) return;
    waiter.over = true;
    this.#tell(waiter, { kind: "over" });
  }

  #lookAtTimes(): void {
    const now = monotonic();
    for (const waiter of this.#waiters) {
      if (now >= waiter.deadline) this.#finish(waiter);
      else if (now >= waiter.retryAt && waiter.resolve) {
        waiter.retryAt = now + retryDelay();
        this.#tell(waiter, { kind: "retry" });
      }
    }
    if (this.#waiters.size === 0 && this.#sweep) {
      clearInterval(this.#sweep);
      this.#sweep = null;
    }
  }
}

function retryDelay(): number {
  return CLAIM_RETRY_MS * (0.75 + Math.random() / 2);
}
