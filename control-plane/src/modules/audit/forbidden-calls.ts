import type { Logger } from "@shipfox/shared/logger";
import type { Caller } from "../../http/caller.ts";
import type { Store } from "../../store/store.ts";

const WINDOW_MS = 60_000;
/** Entries that one user causes in a window; who tries doors by the thousand must not fill the log of others. */
const MAX_PER_WINDOW = 30;
/** Users whose windows are remembered. */
const MAX_USERS = 10_000;

interface Window {
  readonly startedAt: number;
  entries: number;
}

/** Keeps for the audit log that somebody was refused. Written after the answer: nothing was changed that it could belong to. */
export class ForbiddenCalls {
  readonly #store: Store;
  readonly #log: Logger;
  readonly #windows = new Map<string, Window>();

  constructor(store: Store, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  readonly note = (caller: Caller, workspaceId: string | null, reason: string): void => {
    if (!this.#mayWrite(caller)) return;
    const target = { type: "ability", id: null, name: caller.needs };
    this.#store
      .write((tx) =>
        tx.audit(caller, { workspaceId, action: "call.forbidden", outcome: "denied", target, details: { reason } }),
      )
      .catch((error: unknown) => this.#log.error({ err: error }, "a forbidden call could not be written down"));
  };

  #mayWrite({ userId, origin: { at } }: Caller): boolean {
    const known = this.#windows.get(userId);
    const window = known && at - known.startedAt < WINDOW_MS ? known : { startedAt: at, entries: 0 };
    window.entries += 1;
    this.#windows.delete(userId);
    if (this.#windows.size >= MAX_USERS) this.#windows.delete(this.#windows.keys().next().value as string);
    this.#windows.set(userId, window);
    return window.entries <= MAX_PER_WINDOW;
  }
}
