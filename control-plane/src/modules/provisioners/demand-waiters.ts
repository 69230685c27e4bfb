interface Parked {
  readonly workspaceId: string;
  readonly wake: (reason: "demand" | "over") => void;
}

/** Demand polls that wait: whatever may change what they would be told wakes those of its workspace. */
export class DemandWaiters {
  readonly #parked = new Set<Parked>();
  #stopped = false;

  get size(): number {
    return this.#parked.size;
  }

  /** Ends at a change of the workspace's demand, after `waitMs`, or as `over` when the caller is gone or the server stops. */
  next(workspaceId: string, waitMs: number, signal: AbortSignal): Promise<"demand" | "over"> {
    if (this.#stopped || signal.aborted) return Promise.resolve("over");
    return new Promise((resolve) => {
      const end = (reason: "demand" | "over") => {
        if (!this.#parked.delete(parked)) return;
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        resolve(reason);
      };
      const abort = () => end("over");
      const parked: Parked = { workspaceId, wake: end };
      const timer = setTimeout(() => end("demand"), waitMs).unref();
      this.#parked.add(parked);
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  wake(workspaceId: string): void {
    for (const parked of this.#parked) if (parked.workspaceId === workspaceId) parked.wake("demand");
  }

  stop(): void {
    this.#stopped = true;
    for (const parked of this.#parked) parked.wake("over");
  }
}
