import type { RunEvent, RunEventListener } from "../store/store.ts";

/** Hands committed run events to whoever in this process follows them, in the order of their numbers. */
export class EventBus {
  readonly #listeners: RunEventListener[] = [];

  readonly publish = (events: RunEvent[]): void => {
    for (const listener of this.#listeners) listener(events);
  };

  subscribe(listener: RunEventListener): void {
    this.#listeners.push(listener);
  }
}
