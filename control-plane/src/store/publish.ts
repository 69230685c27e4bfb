import type { Logger } from "@shipfox/shared/logger";
import type { RunEvent, RunEventListener } from "./store.ts";

/** What a committed unit has to tell inside this process. */
export interface Committed {
  events: RunEvent[];
  callbacks: (() => void)[];
}

/** Tells what was committed, in the order of `units`. A listener that throws is a fault, but the data is safe: go on. */
export function publish(units: readonly Committed[], onRunEvents: RunEventListener, log: Logger): void {
  const events = units.flatMap((unit) => unit.events);
  const told = units.flatMap((unit) => unit.callbacks);
  if (events.length > 0) told.push(() => onRunEvents(events));
  for (const tell of told) {
    try {
      tell();
    } catch (error) {
      log.error({ err: error }, "a listener of the store threw after a commit");
    }
  }
}
