import { DueLoop } from "../../due-loop.ts";
import { deleteOld } from "../../store/delete-old.ts";
import type { RunEvent } from "../../store/store.ts";
import { EVENT_TYPES } from "./model.ts";
import { planDeliveries } from "./plan-deliveries.ts";
import { Sender, type SenderDeps } from "./sender.ts";
import { activeWorkspaces, deleteCreatedUntil, oldestCreatedAt } from "./store.ts";

const DELETE_BATCH = 500;

export interface OutgoingWebhooksDeps extends Omit<SenderDeps, "onRoom"> {
  readonly settings: SenderDeps["settings"] & { readonly retentionMs: number };
}

/** Turns run events into deliveries and sends them, on a loop of its own that nobody else waits for. */
export class OutgoingWebhooks {
  readonly #deps: OutgoingWebhooksDeps;
  readonly #loop: DueLoop;
  readonly #sender: Sender;
  /** Workspaces with active webhooks, as of the last look: events of others need no look. */
  #listening: ReadonlySet<string> = new Set();

  constructor(deps: OutgoingWebhooksDeps) {
    this.#deps = deps;
    this.#loop = new DueLoop(deps.clock, deps.log);
    this.#sender = new Sender({ ...deps, onRoom: () => this.wake() });
  }

  start(): void {
    this.#loop.start([(now) => this.plan(now), (now) => this.send(now)]);
  }

  /** Hears committed run events. What it misses, from before a start or of another process, is found in the next round. */
  onRunEvents(events: readonly RunEvent[]): void {
    if (events.some(({ workspaceId, type }) => this.#listening.has(workspaceId) && EVENT_TYPES.includes(type)))
      this.wake();
  }

  /** Something may be due now. */
  wake(): void {
    this.#loop.arm(this.#deps.clock.now());
  }

  /** Writes the deliveries of new run events; answers when to call again, null when nothing waits. */
  async plan(now: number): Promise<number | null> {
    const { store } = this.#deps;
    this.#listening = new Set(await store.read(activeWorkspaces));
    return (await planDeliveries(store, now)) ? now : null;
  }

  /** Starts what is due; answers when to call again, null when nothing waits. */
  send(now: number): Promise<number | null> {
    return this.#sender.sendDue(now);
  }

  /** Waits for the attempts that are under way. */
  settled(): Promise<void> {
    return this.#sender.settled();
  }

  /** Deletes one batch of old deliveries, and answers when to call again; null when there is none. */
  deleteOld(now: number): Promise<number | null> {
    const keptMs = this.#deps.settings.retentionMs;
    const old = { keptMs, batch: DELETE_BATCH, remove: deleteCreatedUntil, oldest: oldestCreatedAt };
    return deleteOld(this.#deps.store, old, now);
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
    await this.#sender.stop();
  }
}
