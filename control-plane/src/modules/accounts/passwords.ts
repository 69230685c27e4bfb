import { availableParallelism } from "node:os";
import { ApiError } from "@shipfox/shared/errors";
import PQueue from "p-queue";
import { PasswordThread } from "./password-thread.ts";

/** Hashing is all processor and 19 MiB of memory, so more of it at once than this only takes both from the rest. */
const THREADS = Math.min(4, availableParallelism());
/** One that it works on, and one to go on with while the event loop is busy. */
const TASKS_OF_THREAD = 2;
/** About a second of work for each thread; who would wait longer is told to come back. */
const MAX_WAITING = 128;
const RETRY_AFTER_SECONDS = 2;
/** A hash with the parameters of the thread, of a password that nobody knows. */
export const NOBODYS_HASH =
  "$argon2id$v=19$m=19456,t=2,p=1$eNjPhZn0RIH0Y+Q7FcR3dg$XmBS0Sw69M1F5Z1REa+e5+hzLYbW39T681nxAL39RwQ";

/**
 * Hashes and verifies passwords in threads of their own: neither the event loop nor the threads that Node shares with
 * the disk wait for a wave of sign-ins. Throws 503 `overloaded` when too many wait.
 */
export class Passwords {
  #threads: PasswordThread[] = [];
  readonly #queue = new PQueue({ concurrency: THREADS * TASKS_OF_THREAD });

  hash(password: string): Promise<string> {
    return this.#enter((thread) => thread.hash(password));
  }

  /** `stored` null (no such account) takes as long as a wrong password. */
  async verify(stored: string | null, password: string): Promise<boolean> {
    const matches = await this.#enter((thread) => thread.verify(stored ?? NOBODYS_HASH, password));
    return matches && stored !== null;
  }

  #enter<T>(task: (thread: PasswordThread) => Promise<T>): Promise<T> {
    if (this.#queue.size >= MAX_WAITING) {
      const headers = { "retry-after": String(RETRY_AFTER_SECONDS) };
      return Promise.reject(
        new ApiError("overloaded", "too many sign-ins are waiting; try again shortly", { headers }),
      );
    }
    return this.#queue.add(() => task(this.#leastBusy()));
  }

  #leastBusy(): PasswordThread {
    this.#threads = this.#threads.filter((thread) => !thread.ended);
    const [first, ...others] = this.#threads.toSorted((left, right) => left.load - right.load);
    if (first && (first.load === 0 || others.length + 1 === THREADS)) return first;
    const started = new PasswordThread();
    this.#threads.push(started);
    return started;
  }
}
