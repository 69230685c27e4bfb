import { hash, verify } from "@node-rs/argon2";
import { ApiError } from "@shipfox/shared/errors";
import PQueue from "p-queue";

/** Argon2id (the library's default) with the parameters that OWASP's password storage cheat sheet names first. */
const PARAMETERS = { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 };
/** Of the four threads that Node shares with the disk: a wave of logins must not hold back the logs. */
const MAX_CONCURRENT = 2;
const MAX_WAITING = 128;
/** A hash with these parameters of a password that nobody knows. */
export const NOBODYS_HASH =
  "$argon2id$v=19$m=19456,t=2,p=1$eNjPhZn0RIH0Y+Q7FcR3dg$XmBS0Sw69M1F5Z1REa+e5+hzLYbW39T681nxAL39RwQ";

/** Hashes and verifies passwords beside the event loop. Throws 503 `overloaded` when too many wait. */
export class Passwords {
  readonly #queue = new PQueue({ concurrency: MAX_CONCURRENT });

  hash(password: string): Promise<string> {
    return this.#enter(() => hash(password, PARAMETERS));
  }

  /** `stored` null (no such account) takes as long as a wrong password. */
  async verify(stored: string | null, password: string): Promise<boolean> {
    const matches = await this.#enter(() => verify(stored ?? NOBODYS_HASH, password));
    return matches && stored !== null;
  }

  #enter<T>(task: () => Promise<T>): Promise<T> {
    if (this.#queue.size >= MAX_WAITING) {
      return Promise.reject(new ApiError("overloaded", "too many sign-ins are waiting; try again shortly"));
    }
    return this.#queue.add(task);
  }
}
