import { monotonic } from "../../store/clock.ts";
import { executionLost } from "../runs/public.ts";
import type { Dispatch } from "./dispatch.ts";
import { findDueLeases, findLease, nextDueLease } from "./leases.ts";

/** A look at the leases this much later than planned means that this process stood still, not that the runners did. */
const STALL_MS = 5_000;
/** When this many leases or more, and over half of all, would end together, it is our outage. */
const MASS_EXPIRY_LEASES = 3;
const MASS_EXPIRY_WINDOW_MS = 10_000;
const MASS_EXPIRY_GUARD_MS = 5 * 60_000;
const DUE_BATCH = 50;

/** Ends the leases of runners that are gone and queues their jobs again. Looks several times a term. */
export class Reaper {
  readonly #dispatch: Dispatch;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | null = null;
  #lookAt = 0;
  #renewedAllAt = Number.NEGATIVE_INFINITY;

  constructor(dispatch: Dispatch) {
    this.#dispatch = dispatch;
    this.#intervalMs = Math.min(1_000, dispatch.deps.settings.leaseTermMs / 20);
  }

  start(): void {
    this.#lookAt = monotonic() + this.#intervalMs;
    this.#timer = setTimeout(() => void this.#look(), this.#intervalMs).unref();
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #look(): Promise<void> {
    const { leases, deps } = this.#dispatch;
    const now = monotonic();
    const expired = leases.endingBy(now);
    if (expired.length > 0 && this.#isOurOutage(now)) {
      this.#renewedAllAt = now;
      leases.renewAll(now + deps.settings.leaseTermMs);
      deps.log.warn(
        { leases: leases.size },
        "most leases would end at once, or this process stood still: all get a fresh term",
      );
    } else {
      for (const lease of expired) {
        try {
          await expireLease(this.#dispatch, lease.fence);
        } catch (error) {
          deps.log.error({ err: error, execution: lease.executionId }, "a lease could not be ended; it is tried again");
          break;
        }
      }
    }
    if (this.#timer) this.start();
  }

  #isOurOutage(now: number): boolean {
    if (now - this.#lookAt > STALL_MS) return true;
    if (now - this.#renewedAllAt < MASS_EXPIRY_GUARD_MS) return false;
    const ending = this.#dispatch.leases.endingBy(
      now + Math.min(MASS_EXPIRY_WINDOW_MS, this.#dispatch.deps.settings.leaseTermMs / 4),
    ).length;
    return ending >= MASS_EXPIRY_LEASES && ending > this.#dispatch.leases.size / 2;
  }
}

async function expireLease(dispatch: Dispatch, fence: number): Promise<void> {
  const { store, clock, log, settings } = dispatch.deps;
  const now = clock.now();
  await store.write(async (tx) => {
    const lease = await findLease(tx, fence);
    if (!lease || lease.ended_at !== null) {
      tx.afterCommit(() => dispatch.leases.remove(fence));
      return;
    }
    if (lease.state === "live") {
      const message = `the runner did not renew its lease for ${settings.leaseTermMs / 1000} s`;
      await executionLost(
        tx,
        dispatch.runs,
        lease.job_execution_id,
        { cause: "runner_lost", message, avoidedSessionId: lease.session_id },
        now,
      );
    }
    await dispatch.end(tx, lease, lease.state === "live" ? "expired" : "cancelled", now);
    tx.afterCommit(() => log.warn({ execution: lease.job_execution_id, runner: lease.runner_id }, "a lease expired"));
  });
}

/** Ends cancelled leases whose runner did not say in time that everything is dead. Answers when the next one is due. */
export async function runDueLeases(dispatch: Dispatch, now: number): Promise<number | null> {
  const { store } = dispatch.deps;
  for (const due of await store.read((tx) => findDueLeases(tx, now, DUE_BATCH))) {
    await store.write((tx) => dispatch.end(tx, due, "cancelled", now));
  }
  return store.read((tx) => nextDueLease(tx));
}
